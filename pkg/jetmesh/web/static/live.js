// Stay connected to a page's events, and put values into the document as text.

const SILENCE = 25000; // two and a half beats of the server
const HIDDEN = 30000;

let clock = 0;

/** The server's time in milliseconds, so that a wrong clock here moves nothing. */
export const now = () => Date.now() + clock;

/** Call `show` with every state that `url` sends, for as long as the page is open. */
export function watch(url, show) {
  const light = document.getElementById("live");
  let source = null;
  let silence = 0;
  let hidden = 0;

  const say = (state, words) => {
    if (light.dataset.state !== state) {
      light.dataset.state = state;
      light.textContent = words;
    }
  };
  const alive = () => {
    say("live", "Live");
    clearTimeout(silence);
    silence = setTimeout(lost, SILENCE);
  };
  const close = () => {
    clearTimeout(silence);
    source?.close();
    source = null;
  };
  const open = () => {
    close();
    source = new EventSource(url);
    source.onmessage = (message) => {
      alive();
      show(JSON.parse(message.data));
    };
    source.addEventListener("beat", (beat) => {
      clock = Number(beat.data) - Date.now();
      alive();
    });
    source.onerror = () => {
      say("lost", "Reconnecting…");
      clearTimeout(silence);
      // The browser tries again by itself unless the answer was an error.
      silence = setTimeout(lost, source.readyState === EventSource.CLOSED ? 2000 : SILENCE);
    };
  };
  const lost = () => {
    say("lost", "Reconnecting…");
    open();
  };

  // A browser allows six connections to a server: tabs that nobody looks at give theirs back.
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hidden);
    if (document.hidden) {
      hidden = setTimeout(close, HIDDEN);
    } else if (source === null) {
      open();
    }
  });
  addEventListener("pagehide", close);
  addEventListener("pageshow", () => source === null && open());
  open();
}

export const byId = (id) => document.getElementById(id);

/** An element with a class and text; never markup. */
export function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

/** Change the text only if it differs, so that a selection survives an update. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Make the children of `parent` follow `items`, reusing elements by key: what a person is about
 * to click must not be replaced under the pointer.
 */
export function follow(parent, items, keyOf, create, update) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  const children = items.map((item) => {
    const key = keyOf(item);
    const child = old.get(key) ?? create(item);
    child.dataset.key = key;
    old.delete(key);
    update(child, item);
    return child;
  });
  old.forEach((child) => child.remove());
  children.forEach((child, at) => {
    if (parent.children[at] !== child) parent.insertBefore(child, parent.children[at] ?? null);
  });
}
