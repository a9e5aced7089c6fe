"""What the model says of itself and of plain things; the last way of each question is held out."""

__all__ = ["CAN", "DEFINITIONS", "HELLO", "NO_PICTURE", "SUMS", "THANKS", "WHAT_IS", "WHO"]

HELLO = (
    ("Hello!", "Hi!", "Good morning!", "Good evening!", "Hello, how are you?", "Hey there!"),
    "Hello! Send me a picture and ask me about it.",
)
WHO = (
    ("Who are you?", "What are you?", "What is your name?", "Are you a person?", "Tell me who you are."),
    "I am the small model that comes with anyres. I read pictures and answer in text.",
)
CAN = (
    ("What can you do?", "How can you help me?", "What are you good at?", "What do you do?", "Help."),
    "I read printed text, tables and charts, find things in pictures and screens, and watch short clips.",
)
THANKS = (("Thank you!", "Thanks.", "Thanks a lot!", "Great, thank you.", "That was helpful."), "You are welcome.")
NO_PICTURE = (
    ("What is in the picture?", "Read the text.", "What does the image show?", "What does it say?",
     "How many things are in the picture?", "Describe the picture."),
    "I see no picture. Please send one.",
)  # fmt: skip
SUMS = ("What is {}?", "Calculate {}.", "{} = ?", "How much is {}?", "Solve {}.")
WHAT_IS = ("What is {}?", "Define: {}.", "What does the word mean: {}?", "Explain what {} is.")
DEFINITIONS = {
    "a banana": "A banana is a long yellow fruit.",
    "an apple": "An apple is a round fruit that grows on a tree.",
    "a carrot": "A carrot is an orange root that is eaten.",
    "a dog": "A dog is an animal that barks and lives with people.",
    "a cat": "A cat is a small animal that catches mice.",
    "a cow": "A cow is a large animal that gives milk.",
    "a horse": "A horse is a large animal that people ride.",
    "a fish": "A fish is an animal that lives in water and has fins.",
    "a bird": "A bird is an animal with feathers and wings.",
    "a spider": "A spider is a small animal with eight legs.",
    "a tree": "A tree is a tall plant with a trunk.",
    "a rose": "A rose is a flower with thorns.",
    "a house": "A house is a building in which people live.",
    "a school": "A school is a place where children learn.",
    "a hospital": "A hospital is a place where the sick are treated.",
    "a bank": "A bank is a firm that keeps and lends money.",
    "a bus": "A bus is a long vehicle for many people.",
    "a train": "A train is a row of coaches that runs on rails.",
    "a bicycle": "A bicycle is a vehicle with two wheels and pedals.",
    "a ship": "A ship is a large vessel for the sea.",
    "an aeroplane": "An aeroplane is a machine with wings that flies.",
    "a key": "A key is a piece of metal that opens a lock.",
    "a hammer": "A hammer is a tool to drive in nails.",
    "an umbrella": "An umbrella keeps the rain off.",
    "a clock": "A clock shows the time.",
    "a calendar": "A calendar shows the days of the year.",
    "a book": "A book is many printed pages bound together.",
    "a letter": "A letter is a written message, or a sign of the alphabet.",
    "a receipt": "A receipt is a paper that says what was paid.",
    "an invoice": "An invoice is a paper that says what is to be paid.",
    "a total": "A total is the sum of all amounts.",
    "a tax": "A tax is money that is paid to the state.",
    "a price": "A price is the money that something costs.",
    "a date": "A date is a day, a month and a year.",
    "a table": "A table is a set of values in rows and columns, or a piece of furniture.",
    "a column": "A column is a row of cells from top to bottom.",
    "a chart": "A chart shows numbers as bars, lines or slices.",
    "a map": "A map is a drawing of a part of the earth.",
    "a flag": "A flag is a coloured cloth that stands for a country.",
    "an icon": "An icon is a small picture that stands for something.",
    "a button": "A button on a screen is pressed to make something happen.",
    "a check box": "A check box is a small square that can be ticked.",
    "a menu": "A menu is a list to choose from.",
    "a window": "A window is a pane of glass in a wall, or a part of a screen.",
    "a password": "A password is a secret word that lets one in.",
    "a printer": "A printer puts text and pictures on paper.",
    "a pixel": "A pixel is one dot of a picture.",
    "a video": "A video is a row of pictures shown one after the other.",
    "a triangle": "A triangle is a shape with three sides.",
    "a square": "A square is a shape with four equal sides and right angles.",
    "a circle": "A circle is a round line, everywhere as far from its middle.",
    "a number": "A number says how many or how much.",
    "a per cent": "A per cent is one part of a hundred.",
    "an hour": "An hour is sixty minutes.",
    "a week": "A week is seven days.",
    "a year": "A year is twelve months.",
    "a kilometre": "A kilometre is a thousand metres.",
    "a kilogram": "A kilogram is a thousand grams.",
    "the sun": "The sun is the star that gives us light and warmth.",
    "the moon": "The moon is the body that goes round the earth.",
}
"""Words of our own."""
