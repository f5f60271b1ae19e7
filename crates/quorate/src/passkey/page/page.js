// Asks the server what to do, asks the browser for a passkey, sends what it gave. Everything is shown as text, never as markup.
"use strict";

const element = (id) => document.getElementById(id);
const toBytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (byte) => parseInt(byte, 16));
const toHex = (buffer) => Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");
// Exactly the text whose bytes were signed: nothing is replaced, nothing left out.
const toText = (buffer) => new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(buffer);

// COSE numbers: ES256, EdDSA.
const ALGORITHMS = [-7, -8];
const PATIENCE_MS = 240_000;

const ceremonies = {
  register: {
    title: "Register a passkey",
    button: "Register this device",
    advice: "Your browser makes a new key and keeps it. Only its public half leaves the authenticator.",
    done: "Registered. The terminal shows the line for the policy. You can close this page.",
    show(ask) {
      return [`name  ${ask.name}`, `site  ${ask.rp_id}`];
    },
    async run(ask) {
      const { response } = await navigator.credentials.create({
        publicKey: {
          rp: { id: ask.rp_id, name: "Quorate" },
          user: { id: toBytes(ask.user_id), name: ask.name, displayName: ask.name },
          challenge: toBytes(ask.challenge),
          pubKeyCredParams: ALGORITHMS.map((alg) => ({ type: "public-key", alg })),
          authenticatorSelection: { residentKey: "preferred", userVerification: "required" },
          attestation: "none",
          timeout: PATIENCE_MS,
        },
      });
      return {
        attestation_object: toHex(response.attestationObject),
        client_data_json: toText(response.clientDataJSON),
      };
    },
  },
  approve: {
    title: "Approve this request",
    button: "Approve with passkey",
    advice: "Approve only if every line is what you expect, and the terminal shows the same approval.",
    done: "Sent. The terminal shows what comes of it. You can close this page.",
    show(ask) {
      element("cluster").textContent = `Cluster ${ask.cluster}`;
      element("challenge").textContent = ask.challenge;
      element("approval").hidden = false;
      return ask.lines;
    },
    async run(ask) {
      const { rawId, response } = await navigator.credentials.get({
        publicKey: {
          rpId: ask.rp_id,
          challenge: toBytes(ask.challenge),
          allowCredentials: ask.credentials.map((id) => ({ type: "public-key", id: toBytes(id) })),
          userVerification: "required",
          timeout: PATIENCE_MS,
        },
      });
      return {
        credential_id: toHex(rawId),
        authenticator_data: toHex(response.authenticatorData),
        client_data_json: toText(response.clientDataJSON),
        signature: toHex(response.signature),
      };
    },
  },
};

const say = (kind, text) => {
  element("result").className = kind;
  element("result").textContent = text;
};

const show = (ceremony, ask) => {
  document.title = `${ceremony.title} - Quorate`;
  element("title").textContent = ceremony.title;
  element("advice").textContent = ceremony.advice;
  const lines = ceremony.show(ask).map((line) => {
    const item = document.createElement("li");
    item.textContent = line;
    return item;
  });
  element("lines").replaceChildren(...lines);
  element("go").textContent = ceremony.button;
  element("go").hidden = false;
};

const send = async (answer) => {
  const request = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(answer) };
  const response = await fetch("answer", request).catch(() => {
    throw new Error("the program no longer listens; start it again");
  });
  if (!response.ok) {
    throw new Error(await response.text());
  }
};

const explain = (error) =>
  error.name === "NotAllowedError"
    ? "The browser gave no passkey: it was cancelled, took too long, or none of the approver's is on this device. Try again."
    : `Not accepted: ${error.message}`;

const run = async (ceremony, ask) => {
  element("go").disabled = true;
  say("", "Waiting for the passkey...");
  try {
    await send(await ceremony.run(ask));
    element("go").hidden = true;
    say("good", ceremony.done);
  } catch (error) {
    element("go").disabled = false;
    say("bad", explain(error));
  }
};

const begin = async () => {
  try {
    const ask = await (await fetch("ask")).json();
    const ceremony = ceremonies[ask.kind];
    show(ceremony, ask);
    if (!window.PublicKeyCredential) {
      throw new Error("this browser has no passkeys; open the page in another one");
    }
    element("go").addEventListener("click", () => run(ceremony, ask));
  } catch (error) {
    say("bad", explain(error));
    element("go").disabled = true;
  }
};

begin();
