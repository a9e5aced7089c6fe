"""The dense teachers of version 1: heads beside the model, dropped afterwards, that say what lies where.

From the vision encoder's output they tell the characters of each cell, the place of the first in the answer, the names
of things, their boxes, centres and motion. From an early decoder layer: at visual tokens, which row and column they are
in, and where that box lies from the top left corner (of what comes after them visual tokens know nothing, so not in
parts of the picture); where an answer begins, what the question names. From the middle one, there, the picture's rows
and columns: the last visual token's own, read off it. From a later one, for each token of an answer:
whether that is there, and where, in cells and in parts of the picture. There, each of the last tokens before an answer
also has a band of the picture to count: how many of the things that are asked for have their centres in its rows.
From the middle, for each token of an answer that is printed in the picture: which visual token it is to be read from,
told as attention would find it, by products of a query with a key of each, and of the numbers of a box a visual token
of the thing in it; from the later layer, which letter of that cell it is. Which letter of its word it is, the early
layer tells of it, and the vision encoder's output of the first letter of each cell: without these, letters that come
twice in a word were lost.
Of each token of a question, the early layer tells which letters it is made of, by the head that tells the letters of
cells, and points to where it is printed: who asks for the total means the number beside that word.

Each loss of a picture is a mean over what it is known of, times the root of the share of the pack's visual tokens
whose pictures tell it: a pack with one picture of things learns less of them than a pack full of these, but not as much
less as pages are larger. With the share itself, a model that learnt pages forgot the things it had known.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anyres.model.qwen2vl import Qwen2VL
from anyres.processing.tokenizer import Tokenizer
from anyres.training.loss import Tap
from anyres.training.packing import PackedBatch
from recipes.tiny.places import BOX, CENTRES, CHANGE, MOTION, PRESENCE
from recipes.tiny.pointers import IN_CELL, IN_PICTURE, IN_WORD
from recipes.tiny.targets import (
    Targets,
    asked_tokens,
    extras_of,
    letters_of_tokens,
    places_of_tokens,
    sizes_of,
    targets_of,
)
from recipes.tiny.taught import IGNORED, LETTER_SLOTS, LONGEST, NAME_SLOTS, NOTHING, Classes

__all__ = ["EARLY", "Teachers"]

EARLY = 1
"""Index of the decoder layer after which the early teachers ask; the later ones ask after the last but one, that of
pointers after half of the layers and one: so the last ones can read where it points to."""
POINTER = 64
"""Width of its queries and keys."""
MOST_CENTRES = 2
MOST_CELLS = 40
"""Rows or columns of a picture, less one."""
BANDS = 7
"""Of rows, one for each token between a question and its answer. In a picture of fewer rows the last hold nothing."""
MOST_COUNTED = 9
LONGEST_WORD = 24
"""Letters of a word that are told apart, the last for all behind it."""
PARTS = slice(5, 9)
TOLD_BOX, TOLD_CENTRES, TOLD_MOTION = slice(0, 4), slice(4, 5 + MOST_CENTRES), slice(5 + MOST_CENTRES, 8 + MOST_CENTRES)
FAR = 8.0
"""Cells of a picture's longer side from which on errors in cells count less: they grow with it."""
WEIGHTS = {
    "letters": 1.0, "names": 1.0, "order": 1.0, "box": 0.5, "centres": 1.0, "motion": 1.0, "absolute": 0.5,
    "own": 0.2, "size": 0.3, "asked": 0.2, "bands": 0.5, "there": 1.0, "referent": 0.5, "parts": 2.0, "pointer": 1.0,
    "located": 0.7, "slot": 0.5, "begun": 0.5, "spelled": 0.2, "pieces": 0.2, "found": 1.0,
}  # fmt: skip
"""Larger ones drown the answers: the norm of the gradient is 2 to 4 where it goes well."""
Losses = dict[str, Tensor]


class Teachers(nn.Module):
    """An `Auxiliary` of the trainer. It looks into `model` by itself, and keeps the levels of the run with its weights.

    `levels_G`, `right_G` and `seen_G` are of recipes/tiny/course.py: saved and restored here, they make a run that goes
    on the same as one that was never cut off.
    """

    byte_lengths_V: Tensor
    pieces_VS: Tensor
    levels_G: Tensor
    right_G: Tensor
    seen_G: Tensor

    def __init__(self, model: Qwen2VL, classes: Classes, tokenizer: Tokenizer, *, groups: int) -> None:
        super().__init__()
        text = model.config.text
        width, inner = text.hidden_size, text.hidden_size // 2
        layers = EARLY, text.num_hidden_layers // 2, max(EARLY, text.num_hidden_layers - 2)
        self.taps = tuple(Tap(model, layer) for layer in layers)
        self.visual_token_ids = model.config.image_token_id, model.config.video_token_id
        self.norm = nn.LayerNorm(width)
        self.letter_slots = nn.Linear(width, LETTER_SLOTS * inner)
        self.letters = nn.Linear(inner, classes.letter_count + 1)
        self.name_slots = nn.Linear(width, NAME_SLOTS * inner)
        self.names = nn.Linear(inner, len(classes.names) + 1)
        self.order = nn.Linear(width, LONGEST)
        self.begun = nn.Linear(width, LONGEST_WORD)
        self.places = nn.Linear(width, TOLD_MOTION.stop)
        self.early_norm = nn.LayerNorm(width)
        self.absolute = nn.Linear(width, 4)
        self.own = nn.Linear(width, 2 * MOST_CELLS)
        self.asked = nn.Linear(width, inner)
        self.spelled = nn.Linear(width, LONGEST_WORD)
        self.late_norm = nn.LayerNorm(width)
        self.referent = nn.Linear(width, 9)
        self.bands = nn.Linear(width, MOST_COUNTED + 1)
        self.middle_norm = nn.LayerNorm(width)
        self.sizes = nn.Linear(width, 2 * MOST_CELLS)
        self.pointer_query, self.pointer_key = nn.Linear(width, POINTER), nn.Linear(width, POINTER)
        self.slot = nn.Linear(width, LETTER_SLOTS)
        self.found_query, self.found_key = nn.Linear(width, POINTER), nn.Linear(width, POINTER)
        lengths = [len(tokenizer.token_bytes(one)) for one in range(text.vocab_size)]
        self.register_buffer("byte_lengths_V", torch.tensor(lengths), persistent=False)
        self.register_buffer("pieces_VS", letters_of_tokens(tokenizer, classes), persistent=False)
        for name, initial in (("levels_G", 0.0), ("right_G", 0.0), ("seen_G", 0.0)):
            self.register_buffer(name, torch.full((groups,), initial, dtype=torch.float64))

    def loss(
        self, visual_MD: Tensor, tapped_TD: Tensor | None, batch: PackedBatch
    ) -> tuple[Tensor, Mapping[str, float]]:
        """The sum of all losses, and each of them with the shares told right, for the curves."""
        del tapped_TD
        early_TD, middle_TD, late_TD = (tap.take() for tap in self.taps)
        targets = targets_of(batch, visual_MD.device)
        figures: dict[str, float] = {}
        losses = self._cell_losses(self.norm(visual_MD), targets, figures)
        losses["own"] = self._own_loss(early_TD, targets, batch)
        if targets.things_M.any():
            share = root_of(targets.things_M)
            parts = self._early_losses(early_TD, targets, batch) | self._late_losses(late_TD, targets, batch)
            parts["size"] = self._size_loss(middle_TD, targets, batch)
            losses |= {name: share * part for name, part in parts.items()}
        if (targets.counted_M != IGNORED).any():
            losses["bands"] = self._bands_loss(late_TD, targets, batch)
        places_T3 = places_of_tokens(batch, targets, self.byte_lengths_V)
        copied_N3 = places_T3[batch.learnt_N + 1]
        losses |= self._reading_losses((early_TD, late_TD), copied_N3, batch, figures)
        losses |= self._pointer_losses(middle_TD, copied_N3, targets, batch, figures)
        losses |= self._asked_losses(early_TD, places_T3[:, IN_PICTURE], targets, batch, figures)
        total = visual_MD.new_zeros((), dtype=torch.float32)
        for name, part in losses.items():
            weighted = WEIGHTS[name] * part
            total = total + weighted
            figures[name] = weighted.item()
        return total, figures

    # Of each cell.

    def _cell_losses(self, normed_MD: Tensor, targets: Targets, figures: dict[str, float]) -> Losses:
        losses = {}
        for kind, slots_MS in (("letters", targets.letters_MS), ("names", targets.names_MS)):
            known_M = slots_MS[:, 0] != IGNORED
            if known_M.any():
                logits, wanted = self._slots(kind, normed_MD[known_M], slots_MS[known_M])
                losses[kind] = F.cross_entropy(logits, wanted, reduction="sum") / known_M.sum() * root_of(known_M)
                _add_right(figures, f"{kind} right", logits, wanted, wanted < logits.shape[1] - 1)
        known_M = targets.order_M != IGNORED
        if known_M.any():
            order = self.order(normed_MD[known_M]).float()
            share = root_of(targets.letters_MS[:, 0] != IGNORED)
            losses["order"] = share * F.cross_entropy(order, targets.order_M[known_M])
            _add_right(figures, "order right", order, targets.order_M[known_M])
        known_M = targets.begun_M != IGNORED
        if known_M.any():
            losses["begun"] = _class_loss(self.begun(normed_MD[known_M]), targets.begun_M, figures, "begun right")
        if targets.things_M.any():
            losses |= self._place_losses(normed_MD[targets.things_M], targets)
        return losses

    def _slots(self, kind: str, normed_MD: Tensor, slots_MS: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the cells' slots up to the first empty one, and their classes, the last of which means nothing."""
        inner, out = (self.letter_slots, self.letters) if kind == "letters" else (self.name_slots, self.names)
        told_MS = F.pad(slots_MS[:, :-1] != NOTHING, (1, 0), value=True)
        logits = out(inner(normed_MD).unflatten(-1, (slots_MS.shape[1], -1))[told_MS]).float()
        wanted = slots_MS[told_MS]
        return logits, torch.where(wanted == NOTHING, logits.shape[1] - 1, wanted)

    def _place_losses(self, normed_MD: Tensor, targets: Targets) -> Losses:
        places_MX = targets.places_MX[targets.things_M]
        share = root_of(targets.things_M)
        told = self.places(normed_MD).float()
        wanted = places_MX[:, CENTRES].clamp(max=MOST_CENTRES).long()
        losses = {"centres": share * F.cross_entropy(told[:, TOLD_CENTRES], wanted)}
        boxed = places_MX[:, BOX].isfinite().all(-1)
        if boxed.any():
            losses["box"] = share * F.smooth_l1_loss(told[boxed, TOLD_BOX], places_MX[boxed, BOX], beta=0.1)
        filmed = places_MX[:, CHANGE].isfinite()
        if filmed.any():
            moved = places_MX[filmed, MOTION.start : CHANGE + 1]
            part = F.smooth_l1_loss(told[filmed, TOLD_MOTION], moved, beta=0.1)
            losses["motion"] = share * filmed.float().mean().sqrt() * part
        return losses

    # From within the decoder.

    def _own_loss(self, early_TD: Tensor, targets: Targets, batch: PackedBatch) -> Tensor:
        """Column and row of every visual token."""
        told = self.own(self.early_norm(early_TD[batch.visual_at_M])).float().unflatten(-1, (2, MOST_CELLS))
        own_M2 = targets.cells_M4[:, :2].clamp(max=MOST_CELLS - 1).long()
        return F.cross_entropy(told.flatten(0, 1), own_M2.flatten())

    def _early_losses(self, early_TD: Tensor, targets: Targets, batch: PackedBatch) -> Losses:
        cells_M4 = targets.cells_M4
        wanted = targets.places_MX[:, BOX] + cells_M4[:, :2].repeat(1, 2) + 0.5
        boxed = wanted.isfinite().all(-1)
        losses = {}
        if boxed.any():
            told = self.absolute(self.early_norm(early_TD[batch.visual_at_M[boxed]])).float()
            near = (FAR / cells_M4[boxed, 2:].amax(1)).clamp(max=1.0)
            error = F.smooth_l1_loss(told, wanted[boxed], beta=0.1, reduction="none").mean(1)
            losses["absolute"] = (near * error).mean()
        return losses | self._question_losses(early_TD, targets, batch)

    def _question_losses(self, early_TD: Tensor, targets: Targets, batch: PackedBatch) -> Losses:
        """Where the first answer begins: what is asked for."""
        of_things, _ = sizes_of(targets, len(batch.samples))
        normed = self.early_norm(early_TD[_answers_begin(batch)][of_things])
        losses = {}
        asked = torch.tensor([one.asked for one in extras_of(batch)], device=early_TD.device)[of_things]
        known = asked != IGNORED
        if known.any():
            named = self.names(self.asked(normed[known])).float()
            losses["asked"] = F.cross_entropy(named, asked[known]) * known.float().mean()
        return losses

    def _size_loss(self, middle_TD: Tensor, targets: Targets, batch: PackedBatch) -> Tensor:
        """Rows and columns of the first picture, where the first answer begins. The last visual token knows them once
        each knows its own place, so not from the early layer."""
        of_things, sizes_B2 = sizes_of(targets, len(batch.samples))
        normed = self.middle_norm(middle_TD[_answers_begin(batch)][of_things])
        told = self.sizes(normed).float().unflatten(-1, (2, MOST_CELLS)).flatten(0, 1)
        return F.cross_entropy(told, sizes_B2[of_things].clamp(max=MOST_CELLS - 1).long().flatten())

    def _late_losses(self, late_TD: Tensor, targets: Targets, batch: PackedBatch) -> Losses:
        referents_B5 = torch.tensor([one.referent for one in extras_of(batch)], device=late_TD.device)
        samples_N = batch.learnt_samples
        referent = referents_B5[samples_N]
        first = _of_first_answer(batch)
        known, there = first & referent[:, PRESENCE].isfinite(), referent[:, BOX].isfinite().all(-1)
        losses = {}
        if known.any():
            told = self.referent(self.late_norm(late_TD[batch.learnt_N[known]])).float()
            wanted = referent[known]
            losses["there"] = F.binary_cross_entropy_with_logits(told[:, PRESENCE], wanted[:, PRESENCE])
            there = there[known]
            if there.any():
                _, sizes_B2 = sizes_of(targets, len(batch.samples))
                size = sizes_B2[samples_N[known][there]].flip(1).repeat(1, 2)
                near = (FAR / size.amax(1)).clamp(max=1.0)
                box = wanted[there, BOX]
                error = F.smooth_l1_loss(told[there, BOX], box, beta=0.1, reduction="none").mean(1)
                losses["referent"] = (near * error).mean()
                losses["parts"] = F.smooth_l1_loss(told[there, PARTS], box / size, beta=0.02)
        return losses

    def _pointer_losses(
        self, middle_TD: Tensor, copied_N3: Tensor, targets: Targets, batch: PackedBatch, figures: dict[str, float]
    ) -> Losses:
        """Which of the visual tokens of its picture each answer's token is printed in; for a box's, is in the box."""
        cells_N, printed_N = copied_N3[:, IN_PICTURE], copied_N3[:, IN_WORD] != IGNORED
        boxed_N = (cells_N != IGNORED) & ~printed_N
        normed_TD = self.middle_norm(middle_TD)
        keys_MP = self.pointer_key(normed_TD[batch.visual_at_M])
        losses = {}
        kinds = ("pointer", printed_N, printed_N.float().mean()), ("located", boxed_N, root_of(boxed_N))
        for name, known_N, share in kinds:
            if not known_N.any():
                continue
            scores_KM, wanted_K = _pointed(
                self.pointer_query(normed_TD[batch.learnt_N[known_N]]),
                keys_MP,
                (batch.learnt_samples[known_N], targets.samples_M),
                cells_N[known_N],
            )
            _add_right(figures, f"{name} right", scores_KM, wanted_K)
            losses[name] = share * F.cross_entropy(scores_KM, wanted_K)
        return losses

    def _asked_losses(
        self, early_TD: Tensor, printed_T: Tensor, targets: Targets, batch: PackedBatch, figures: dict[str, float]
    ) -> Losses:
        """Of each token of a question, the letters that it is made of, and the visual token that it is printed in."""
        asked_T = asked_tokens(batch, targets)
        pieces_TS = self.pieces_VS[batch.token_ids_T]
        lettered_T = asked_T & (pieces_TS[:, 0] != NOTHING)
        losses = {}
        if lettered_T.any():
            logits, wanted = self._slots("letters", self.early_norm(early_TD[lettered_T]), pieces_TS[lettered_T])
            losses["pieces"] = F.cross_entropy(logits, wanted)
        known_T = asked_T & (printed_T != IGNORED)
        if known_T.any():
            scores_KM, wanted_K = _pointed(
                self.found_query(self.early_norm(early_TD[known_T])),
                self.found_key(self.early_norm(early_TD[batch.visual_at_M])),
                (batch.token_samples[known_T], targets.samples_M),
                printed_T[known_T],
            )
            _add_right(figures, "found right", scores_KM, wanted_K)
            losses["found"] = known_T.sum() / asked_T.sum() * F.cross_entropy(scores_KM, wanted_K)
        return losses

    def _reading_losses(
        self, taps: tuple[Tensor, Tensor], copied_N3: Tensor, batch: PackedBatch, figures: dict[str, float]
    ) -> Losses:
        """Which letter of its word each answer's token is, and of its cell, from the early and the late layer."""
        early_TD, late_TD = taps
        losses = {}
        in_word_N, in_cell_N = copied_N3[:, IN_WORD], copied_N3[:, IN_CELL]
        known_N = in_word_N != IGNORED
        if known_N.any():
            told = self.spelled(self.early_norm(early_TD[batch.learnt_N[known_N]]))
            losses["spelled"] = _class_loss(told, in_word_N)
        known_N = in_cell_N != IGNORED
        if known_N.any():
            told = self.slot(self.late_norm(late_TD[batch.learnt_N[known_N]]))
            losses["slot"] = _class_loss(told, in_cell_N, figures, "slot right")
        return losses

    def _bands_loss(self, late_TD: Tensor, targets: Targets, batch: PackedBatch) -> Tensor:
        known_M = targets.counted_M != IGNORED
        row_M, rows_M = targets.cells_M4[known_M][:, 1].long(), targets.cells_M4[known_M][:, 3].long()
        place_M = targets.samples_M[known_M] * BANDS + band_of(row_M, rows_M)
        counts = torch.zeros(len(batch.samples) * BANDS, dtype=torch.int64, device=late_TD.device)
        counts.index_add_(0, place_M, targets.counted_M[known_M])
        asked_B = targets.samples_M[known_M].unique()
        last_B = _answers_begin(batch)[asked_B]
        told = self.bands(self.late_norm(late_TD[last_B[:, None] + torch.arange(1 - BANDS, 1, device=last_B.device)]))
        wanted = counts.unflatten(0, (-1, BANDS))[asked_B].clamp(max=MOST_COUNTED)
        loss = F.cross_entropy(told.float().flatten(0, 1), wanted.flatten())
        return BANDS * loss * root_of(known_M)


def root_of(known_M: Tensor) -> Tensor:
    """The root of the share of the visual tokens that something is known of.

    >>> float(root_of(torch.tensor([True, False, False, False])))
    0.5
    """
    return known_M.float().mean().sqrt()


def band_of(row_M: Tensor, rows_M: Tensor) -> Tensor:
    """The band that each row is in, of a picture of so many rows: its own where there are enough.

    >>> band_of(torch.tensor([0, 3, 0, 3, 13]), torch.tensor([4, 4, 14, 14, 14])).tolist()
    [0, 3, 0, 1, 6]
    """
    return torch.where(rows_M <= BANDS, row_M, row_M * BANDS // rows_M)


def _answers_begin(batch: PackedBatch) -> Tensor:
    """The place in the pack of the last token before each sample's first answer."""
    return batch.learnt_N[_first_learnt(batch)]


def _first_learnt(batch: PackedBatch) -> Tensor:
    """Which of the learnt tokens is the first one of each sample."""
    samples = torch.arange(len(batch.samples), device=batch.learnt_N.device)
    return torch.searchsorted(batch.learnt_samples, samples)


def _of_first_answer(batch: PackedBatch) -> Tensor:
    """Which of the learnt tokens are of the first answer of their sample: other questions have other referents."""
    begins = torch.cat([batch.learnt_N.new_ones(1), (batch.learnt_N.diff() != 1).long()])
    answers_N = begins.cumsum(0)
    return answers_N == answers_N[_first_learnt(batch)][batch.learnt_samples]


def _pointed(
    queries_KP: Tensor, keys_MP: Tensor, samples: tuple[Tensor, Tensor], cells_K: Tensor
) -> tuple[Tensor, Tensor]:
    """Scores [K, M] of all visual tokens, those of other samples out of reach, and which of them each cell is;
    `samples` are those of the K queries and of the M keys."""
    samples_K, samples_M = samples
    scores_KM = (queries_KP @ keys_MP.T).float() * POINTER**-0.5
    scores_KM = scores_KM.masked_fill(samples_K[:, None] != samples_M, -torch.inf)
    return scores_KM, torch.searchsorted(samples_M, samples_K) + cells_K


def _class_loss(told_KC: Tensor, wanted_N: Tensor, figures: dict[str, float] | None = None, right: str = "") -> Tensor:
    """The loss of K rows of logits, those of the N whose class is known, times their share; the last class stands for
    all behind it, too. With `figures`, the share told right is put there as `right`."""
    known_N = wanted_N != IGNORED
    told, wanted = told_KC.float(), wanted_N[known_N].clamp(max=told_KC.shape[1] - 1)
    if figures is not None:
        _add_right(figures, right, told, wanted)
    return known_N.float().mean() * F.cross_entropy(told, wanted)


def _add_right(
    figures: dict[str, float], name: str, logits: Tensor, wanted: Tensor, counted: Tensor | None = None
) -> None:
    right = (logits.detach().argmax(-1) == wanted).float()
    right = right if counted is None else right[counted]
    if len(right):
        figures[name] = float(right.mean())
