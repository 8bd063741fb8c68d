// One stream for all tabs of a browser, which opens six connections to a host and no more.
//
//   tab --"shown", "hidden"--> worker --words of the feed--> every tab that is shown
//
// While no tab is shown there is no stream.

import { Feed } from "./feed.js";

const shown = new Set();
const feed = new Feed((word) => shown.forEach((port) => port.postMessage(word)));

onconnect = ({ ports: [port] }) => {
  port.onmessage = ({ data }) => {
    shown.delete(port);
    if (data === "shown") {
      shown.add(port);
      feed.repeat((word) => port.postMessage(word));
    }
    if (shown.size) feed.open();
    else feed.close();
  };
};
