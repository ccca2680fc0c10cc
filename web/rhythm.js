// How often the system does what the page waits for. Whoever changes one of these there changes it here too: a test
// compares them with the writer's FLUSH_INTERVAL and with Centrifugo's configuration.

/** From one bulk insert to the next, in ms. */
export const FLUSH = 5000;

/** From one word of the server on a silent connection to the next, in ms. */
export const PING = 25_000;
