"use strict";
// Reading needs nothing of this: it tells when a page is too old, and hides what somebody does not look for.
(function () {
  var due = document.body.dataset.due;
  function look() {
    var isLate = Date.now() > Date.parse(due);
    document.body.classList.toggle("overdue", isLate);
    if (isLate && document.title.indexOf("OVERDUE") !== 0) document.title = "OVERDUE: " + document.title;
  }
  if (due) { look(); setInterval(look, 20000); }

  var form = document.getElementById("filters");
  if (!form) return;
  var fields = Array.prototype.slice.call(form.querySelectorAll("select, input"));
  var asked = new URLSearchParams(location.search);
  fields.forEach(function (field) { if (asked.has(field.name)) field.value = asked.get(field.name); });
  function apply() {
    var wanted = {};
    fields.forEach(function (field) { if (field.value) wanted[field.name] = field.value; });
    document.querySelectorAll("[data-filtered]").forEach(function (item) {
      item.hidden = Object.keys(wanted).some(function (name) {
        var value = item.dataset[name];
        return value !== undefined && value.split("|").indexOf(wanted[name]) < 0;
      });
    });
    document.querySelectorAll("[data-count]").forEach(function (place) {
      var items = document.querySelectorAll("[data-filtered=" + place.dataset.count + "]");
      var left = Array.prototype.filter.call(items, function (item) { return !item.hidden; }).length;
      place.textContent = left === items.length ? "" : left + " of " + items.length + " shown";
    });
    var query = new URLSearchParams(wanted).toString();
    try { history.replaceState(null, "", location.pathname + (query ? "?" + query : "") + location.hash); } catch (e) { /* a file */ }
  }
  form.hidden = false;
  form.addEventListener("input", apply);
  form.addEventListener("reset", function () { setTimeout(apply); });
  form.addEventListener("submit", function (event) { event.preventDefault(); });
  apply();
}());
