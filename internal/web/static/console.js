// Keys and small helps for who works in the console all day. Every page works
// without this file, and nothing in it decides anything.
//
//   data-key="c"     the key acts on this element: a field or a group of choices
//                    gets the focus, a "details" opens, all else is clicked
//   data-list        j and k walk its links marked data-item; o opens one, x ticks
//                    the box of its row, shift with a click ticks all between;
//                    data-go-c="confirm" makes c open the row at #confirm
//   data-ticked      is told how many boxes of the list are ticked
//   data-all         ticks or clears all boxes of the list
//   data-nth         choices of a form that the digits choose, once it has the focus
//   <dialog id="keys"> is opened by "?"; its box data-keys-off turns single keys off
//   hx-trigger="every …" rests while nobody looks, and ends with the session
"use strict";
(() => {
	const root = document.documentElement, off = "bolwerk.keys.off";
	const $ = (what, where = document) => where.querySelector(what);
	const all = (what, where = document) => [...where.querySelectorAll(what)];
	const seen = e => e.offsetParent !== null && !e.disabled;
	let quiet = false;
	try { quiet = localStorage.getItem(off) === "1"; } catch { /* storage is shut: keys are on */ }
	const say = () => {
		root.classList.toggle("keyed", !quiet);
		all("[data-key]").forEach(e => quiet ? e.removeAttribute("aria-keyshortcuts") : e.setAttribute("aria-keyshortcuts", e.dataset.key));
	};
	root.classList.add("js");
	say();

	// --- keys
	const types = e => e.isContentEditable || e.matches("textarea, select, input:not([type=checkbox], [type=radio], [type=button], [type=submit])");
	const act = e => {
		if (e.matches("fieldset")) e = $("input:checked:enabled", e) || $("input:enabled", e);
		if (!e) return;
		if (e.matches("input, select, textarea")) { e.focus(); if (e.select) e.select(); e.scrollIntoView({ block: "nearest" }); return; }
		if (e.matches("details")) { e.open = !e.open; $("summary", e).focus(); return; }
		e.click();
	};
	const items = () => all("[data-list] [data-item]").filter(seen);
	const rowOf = e => e.closest("tr, li");
	const walk = step => {
		const list = items(), row = rowOf(document.activeElement);
		const at = list.findIndex(i => i === document.activeElement || row && rowOf(i) === row);
		const to = list[at < 0 ? (step > 0 ? 0 : list.length - 1) : Math.min(Math.max(at + step, 0), list.length - 1)];
		if (to) to.focus();
	};
	const onRow = key => {
		const row = rowOf(document.activeElement), item = row && $("[data-item]", row), list = item && item.closest("[data-list]");
		if (!list) return false;
		if (key === "o") { item.click(); return true; }
		if (key === "x") { const box = $("input[type=checkbox]", row); if (box) box.click(); return !!box; }
		const to = list.getAttribute("data-go-" + key);
		if (to) location.href = item.href.split("#")[0] + "#" + to;
		return !!to;
	};
	document.addEventListener("keydown", e => {
		if (e.defaultPrevented || e.ctrlKey || e.metaKey || e.altKey || e.isComposing) return;
		const on = document.activeElement || document.body, sheet = $("#keys");
		if (e.key === "Escape" && types(on)) { on.blur(); return; }
		if (quiet || types(on) || $("dialog[open]")) return;
		let done = true;
		if (e.key === "?") { if (sheet) sheet.showModal(); else done = false; }
		else if (e.key === "j" && items().length) walk(1);
		else if (e.key === "k" && items().length) walk(-1);
		else if (/^[1-9]$/.test(e.key) && on.form) { const c = all("[data-nth]", on.form)[e.key - 1]; if (c) { c.click(); c.focus(); } else done = false; }
		else if (!/^[a-z/]$/.test(e.key)) done = false;
		else if (!onRow(e.key)) {
			const to = all('[data-key="' + e.key + '"]').find(seen);
			if (to) act(to); else done = false;
		}
		if (done) e.preventDefault();
	});
	const box = $("[data-keys-off]");
	if (box) {
		box.checked = quiet;
		box.addEventListener("change", () => {
			quiet = box.checked;
			try { localStorage.setItem(off, quiet ? "1" : "0"); } catch { /* until the page is left */ }
			say();
		});
	}

	// --- choosing several
	let last = null;
	const boxes = list => all("input[type=checkbox][name]", list);
	const count = list => {
		const n = boxes(list).filter(b => b.checked).length;
		all("[data-ticked]").forEach(o => { o.textContent = n; });
		all("[data-needs-ticks]").forEach(e => { e.toggleAttribute("data-none", n === 0); });
		const every = $("[data-all]");
		if (every) { every.checked = n > 0 && n === boxes(list).length; every.indeterminate = n > 0 && !every.checked; }
	};
	document.addEventListener("click", e => {
		const list = e.target.closest && e.target.closest("[data-list]");
		if (!list || !e.target.matches("input[type=checkbox]")) return;
		const these = boxes(list);
		if (e.target.matches("[data-all]")) these.forEach(b => { b.checked = e.target.checked; });
		else if (e.shiftKey && last && these.includes(last)) {
			const [a, b] = [these.indexOf(last), these.indexOf(e.target)].sort((x, y) => x - y);
			these.slice(a, b + 1).forEach(x => { x.checked = e.target.checked; });
		}
		if (!e.target.matches("[data-all]")) last = e.target;
		count(list);
	});
	const ready = () => {
		const list = $("[data-list]");
		if (list) count(list);
		// Where a link led to: a row that was left, or a form that is to be filled in.
		const to = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
		if (!to) return;
		if (to.matches("tr, li")) { const i = $("[data-item]", to); if (i) i.focus(); }
		else if (to.matches("fieldset, input, select, textarea")) act(to);
	};
	window.addEventListener("pageshow", ready);
	window.addEventListener("hashchange", ready);

	// --- what is asked for by itself
	let ended = false; // the session
	document.addEventListener("htmx:beforeRequest", e => {
		const by = e.detail.elt.getAttribute("hx-trigger") || "";
		if (/every/.test(by) && (document.hidden || ended)) e.preventDefault();
	});
	document.addEventListener("htmx:beforeSwap", e => {
		// The log-in page is not a part of this one.
		if (!e.detail.xhr.responseURL || new URL(e.detail.xhr.responseURL).pathname !== "/login") return;
		e.detail.shouldSwap = false;
		ended = true;
		const out = $("#out");
		if (out) out.hidden = false;
	});
})();
