/** Types of /connect.js, which defines `window.Landbridge`. */
export interface Connection {
  id: string;
  provider: string;
  account: string;
  account_name: string;
  /** False: the account was connected before, and its connection was renewed. */
  new: boolean;
}

export interface ConnectOptions {
  /** The token of `bridge.connect_session(...)`, or how to fetch one from your own server. */
  session: string | (() => Promise<string>);
  /** A window of its own (the default), or a frame in your page. */
  mode?: "popup" | "frame";
  /** With `frame`: the element to fill. Without one, the frame is a modal dialog. */
  container?: Element;
  /** `auto` follows the browser's setting. */
  theme?: "auto" | "light" | "dark";
  /** Leave the last page open until the person closes it. */
  stay?: boolean;
  /** What screen readers are told, and the title of the frame. */
  texts?: Partial<Record<"title" | "close" | "opened" | "connected" | "closed", string>>;
}

export type ConnectErrorCode =
  | "closed"
  | "denied"
  | "failed"
  | "expired"
  | "unknown"
  | "away"
  | "blocked"
  | "session";

export interface ConnectError extends Error {
  code: ConnectErrorCode;
}

export interface ConnectEvents {
  ready: { type: "ready" };
  connected: { type: "connected"; connections: Connection[] };
  denied: { type: "denied"; message: string };
  failed: { type: "failed"; message: string };
  expired: { type: "expired"; message: string };
  unknown: { type: "unknown"; message: string };
  away: { type: "away"; message: string };
  closed: { type: "closed" };
}

/** Resolves once an account is connected; rejects with a ConnectError when the page is closed before. */
export interface ConnectFlow extends Promise<{ connections: Connection[] }> {
  on<Name extends keyof ConnectEvents>(
    name: Name,
    listener: (event: ConnectEvents[Name]) => void,
  ): ConnectFlow;
  close(): void;
}

declare global {
  interface Window {
    Landbridge: {
      connect(options: ConnectOptions): ConnectFlow;
      ConnectError: new (code: ConnectErrorCode, message: string) => ConnectError;
    };
  }
}
