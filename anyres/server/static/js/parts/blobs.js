// Kept bytes as something an <img> or a <video> can show.
import { db } from "../state.js";
import { html, useEffect, useState } from "../view.js";

/** A blob: URL for a kept blob while the component lives; null until it is read. */
export function useBlobUrl(id) {
  const [url, setUrl] = useState(null);
  useEffect(() => {
    let made = null;
    let gone = false;
    void db.get("blobs", id).then((blob) => {
      if (gone || !blob) return;
      made = URL.createObjectURL(blob);
      setUrl(made);
    });
    return () => {
      gone = true;
      if (made) URL.revokeObjectURL(made);
    };
  }, [id]);
  return url;
}

/** A kept picture; its place has the right shape before the bytes are there. */
export function Picture({ part, alt, className = "" }) {
  const url = useBlobUrl(part.blob);
  return html`<img class=${className} src=${url ?? undefined} alt=${alt} width=${part.width} height=${part.height} />`;
}
