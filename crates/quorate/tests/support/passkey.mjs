// A browser with a virtual authenticator in it, driven by lines of JSON: one request on standard input, one answer on standard output.
// It ends when its input does.
//
//   node passkey.mjs PLAYWRIGHT_CORE CHROMIUM
//   {"open": "<url>"}                what the page shows
//   {"press": true}                  presses the button and waits for the result
//   {"verified": false}              whether the authenticator verifies its user from now on
//   {"algorithms": [-8]}             which COSE algorithms registrations offer on pages opened from now on
//   {"credentials": true}            what the authenticator holds
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [playwright, executablePath] = process.argv.slice(2);
const { chromium } = await import(pathToFileURL(`${playwright}/index.mjs`));

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const page = await browser.newPage();
page.setDefaultTimeout(30_000);
const complaints = [];
page.on("console", (message) => complaints.push(message.text()));
page.on("pageerror", (error) => complaints.push(String(error)));
const elsewhere = [];
page.on("request", (request) => elsewhere.push(new URL(request.url()).host));

const devtools = await page.context().newCDPSession(page);
await devtools.send("WebAuthn.enable");
const { authenticatorId } = await devtools.send("WebAuthn.addVirtualAuthenticator", {
  options: {
    protocol: "ctap2",
    transport: "internal",
    hasResidentKey: true,
    hasUserVerification: true,
    isUserVerified: true,
    automaticPresenceSimulation: true,
  },
});

const text = (selector) => page.locator(selector).innerText();

const requests = {
  async open(url) {
    complaints.length = 0;
    elsewhere.length = 0;
    const response = await page.goto(url);
    await page.locator("#go:visible").waitFor();
    return {
      status: response.status(),
      title: await text("#title"),
      cluster: await text("#cluster"),
      lines: await page.locator("#lines li").allInnerTexts(),
      elements: await page.locator("#lines li *").count(),
      challenge: await page.locator("#challenge").textContent(),
      button: await text("#go"),
      hosts: [...new Set(elsewhere)],
      complaints,
    };
  },
  async press() {
    await page.locator("#go").click();
    const result = page.locator("#result.good, #result.bad");
    await result.waitFor();
    return { kind: await result.getAttribute("class"), text: await result.innerText() };
  },
  async verified(isUserVerified) {
    await devtools.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified });
    return {};
  },
  async algorithms(offered) {
    await page.addInitScript((only) => {
      const create = CredentialsContainer.prototype.create;
      CredentialsContainer.prototype.create = function (options) {
        const { publicKey } = options;
        publicKey.pubKeyCredParams = publicKey.pubKeyCredParams.filter(({ alg }) => only.includes(alg));
        return create.call(this, options);
      };
    }, offered);
    return {};
  },
  async credentials() {
    const { credentials } = await devtools.send("WebAuthn.getCredentials", { authenticatorId });
    return credentials.map(({ credentialId, rpId, signCount }) => ({
      credential_id: Buffer.from(credentialId, "base64").toString("hex"),
      rp_id: rpId,
      count: signCount,
    }));
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const [[name, argument]] = Object.entries(JSON.parse(line));
  const answer = await requests[name](argument).catch((error) => ({ failed: String(error) }));
  console.log(JSON.stringify(answer));
}
await browser.close();
