/* The search of this site is a web worker, which browsers do not start for pages that are opened as files. Here it runs in a
   hidden frame of the page instead, with the few parts of the interface of a worker that the search uses. */
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.onmessage = null;
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.appendChild(this.frame);
      const inside = this.frame.contentWindow;
      const address = new URL(url, document.baseURI).href;
      this.ready = new Promise((done) => {
        inside.document.open();
        inside.document.write("<!doctype html><html><body></body></html>");
        inside.document.close();
        inside.postMessage = (data) => this.tell(data);
        inside.importScripts = (...urls) => urls.reduce(
          (before, name) => before.then(() => load(inside.document, new URL(name, address).href)), Promise.resolve());
        load(inside.document, address).then(done);
      });
    }

    postMessage(data) {
      this.ready.then(() => {
        const event = new MessageEvent("message", { data });
        this.frame.contentWindow.dispatchEvent(event);
      });
    }

    tell(data) {
      const event = new MessageEvent("message", { data });
      this.dispatchEvent(event);
      if (this.onmessage) this.onmessage(event);
    }

    terminate() {
      this.frame.remove();
    }
  };

  const load = (page, url) => new Promise((done, failed) => {
    const script = page.createElement("script");
    script.src = url;
    script.onload = done;
    script.onerror = failed;
    page.body.appendChild(script);
  });
}
