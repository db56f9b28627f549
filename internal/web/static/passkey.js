// Passkeys: asks the browser for one and sends the form with it. Without this
// file, or in a browser that knows no passkeys, the page keeps saying what to do
// instead.
(() => {
  "use strict";
  if (!window.PublicKeyCredential) return;
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const ask = (options) => {
    options.challenge = bytes(options.challenge);
    if (options.user) options.user.id = bytes(options.user.id);
    for (const list of [options.excludeCredentials, options.allowCredentials]) for (const c of list || []) c.id = bytes(c.id);
    return options;
  };
  const answer = (c) => {
    const out = { id: c.id, rawId: text(c.rawId), type: c.type, clientExtensionResults: c.getClientExtensionResults(), response: {} };
    if (c.authenticatorAttachment) out.authenticatorAttachment = c.authenticatorAttachment;
    for (const part of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) if (c.response[part]) out.response[part] = text(c.response[part]);
    if (c.response.getTransports) out.response.transports = c.response.getTransports();
    return JSON.stringify(out);
  };
  for (const form of document.querySelectorAll("form[data-passkey]")) {
    form.hidden = false;
    for (const none of document.querySelectorAll("[data-passkey-none]")) none.hidden = true;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const says = form.querySelector("[data-passkey-says]");
      says.hidden = true;
      try {
        const reply = await fetch(form.dataset.passkey, { headers: { Accept: "application/json" } });
        if (!reply.ok) throw new Error(reply.status);
        const { options, asked } = await reply.json();
        const credential = await navigator.credentials[form.dataset.do]({ publicKey: ask(options.publicKey) });
        form.elements.credential.value = answer(credential);
        form.elements.asked.value = asked;
        form.submit();
      } catch (error) {
        says.hidden = false;
      }
    });
  }
})();
