// Plays a moment of the film instead of following its link.
const player = document.getElementById("player");
const video = player.querySelector("video");
const missing = player.querySelector(".missing");
let film = player.dataset.film;
let span = "";

function play() {
  missing.hidden = true;
  video.src = `${film}#t=${span}`;
  video.play().catch(() => {});  // The "error" event handles failures.
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a.moment");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  span = link.dataset.span;
  player.querySelector(".title").textContent = link.dataset.title;
  player.showModal();
  play();
});
video.addEventListener("error", () => { missing.hidden = false; });
player.querySelector("input").addEventListener("change", (event) => {
  film = URL.createObjectURL(event.target.files[0]);
  play();
});
player.addEventListener("close", () => video.pause());
