// The camera in a dialog: look, then take a picture.
import { openSource, snap } from "../camera.js";
import { openPanel } from "../state.js";
import { html, useEffect, useRef, useState } from "../view.js";
import { Dialog } from "./dialog.js";
import { t } from "../words.js";

export function Camera() {
  const [source, setSource] = useState(null);
  const video = useRef(null);
  useEffect(() => {
    let [opened, gone] = [null, false];
    void openSource("camera").then((one) => {
      opened = one;
      if (gone || !one) return one?.close(), openPanel(null);
      video.current.srcObject = one.stream;
      return setSource(one);
    });
    return () => ((gone = true), opened?.close());
  }, []);
  const take = async () => (await snap(source, "camera.jpg"), openPanel(null));
  return html`<${Dialog} title=${t("takePicture")} kind="viewer">
    <div class="stage"><video ref=${video} autoplay muted playsinline aria-label=${t("cameraPicture")}></video></div>
    <p class="tools centre"><button type="button" class="primary" disabled=${!source} onClick=${take}>${t("take")}</button></p>
  <//>`;
}
