// A swarm that moves as the music feels: arousal is its speed, valence its colour from blue to gold, the heatmap draws
// each particle to where the music is, and confidence keeps them together.
const at = new URLSearchParams(location.search).get("at") || "127.0.0.1:9123";
let mood = null, swarm = [];

function connect() {
  const socket = new WebSocket(`ws://${at}/live`);
  socket.onmessage = (event) => {
    mood = JSON.parse(event.data); // heatmap[arousal][valence], low to high
    document.title = `valence ${mood.valence.toFixed(2)}, arousal ${mood.arousal.toFixed(2)}`;
  };
  socket.onclose = () => setTimeout(connect, 1000);
}

function drawn() { // a place on the plane, drawn from the heatmap: x, y from 0 to 1
  let left = random(), index = 0;
  const cells = mood.heatmap.flat();
  while (index < 120 && (left -= cells[index]) > 0) index++;
  return [((index % 11) + random()) / 11, 1 - (Math.floor(index / 11) + random()) / 11];
}

function setup() {
  createCanvas(windowWidth, windowHeight);
  colorMode(HSB);
  background(0);
  for (let i = 0; i < 600; i++) swarm.push({ x: random(), y: random(), goal: [0.5, 0.5] });
  connect();
}

function windowResized() { resizeCanvas(windowWidth, windowHeight) }

function draw() {
  if (!mood) return;
  background(0, 0, 0, 0.12);
  noStroke();
  const speed = 0.01 + 0.05 * mood.arousal01, hue = map(mood.valence, -1, 1, 230, 45);
  for (const each of swarm) {
    if (random() < 0.02) each.goal = drawn();
    each.x += speed * (each.goal[0] - each.x) + random(-1, 1) * 0.004 * (1 - mood.confidence);
    each.y += speed * (each.goal[1] - each.y) + random(-1, 1) * 0.004 * (1 - mood.confidence);
    fill(hue + 40 * (each.y - 0.5), 80, 60 + 40 * mood.level, 0.7);
    circle(each.x * width, each.y * height, 3 + 6 * mood.level);
  }
}
