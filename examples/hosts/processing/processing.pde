// The heatmap as a glowing grid, its mean as a dot, the four moods as bars.
// 1. In Processing: Sketch > Import Library > Manage Libraries: install oscP5, then open this file and press Run.
// 2. In a terminal: valaro demo   (or valaro listen --osc 127.0.0.1:9000)
import oscP5.*;

final int PORT = 9000;
final String[] MOODS = { "happy", "tense", "sad", "calm" };
volatile float[] heatmap = new float[121]; // index = 11 * arousal + valence, both low to high; sums to 1
volatile float[] quadrants = new float[4];
volatile float valence, arousal; // -1 to 1
color[] colours;

void settings() { size(620, 720); }

void setup() {
  surface.setTitle("Valaro");
  textSize(16);
  noStroke();
  colours = new color[] { #FFD23F, #FF4D4D, #4D7CFF, #3FD68F };
  new OscP5(this, PORT);
}

void oscEvent(OscMessage message) { // in a thread of its own: it only hands the numbers over
  if (message.checkAddrPattern("/valaro/heatmap")) heatmap = floats(message, 121);
  else if (message.checkAddrPattern("/valaro/quadrants")) quadrants = floats(message, 4);
  else if (message.checkAddrPattern("/valaro/va")) {
    valence = message.get(0).floatValue();
    arousal = message.get(1).floatValue();
  }
}

float[] floats(OscMessage message, int count) {
  float[] found = new float[count];
  for (int i = 0; i < count; i++) found[i] = message.get(i).floatValue();
  return found;
}

void draw() {
  background(12, 12, 24);
  float[] now = heatmap;
  float cell = 600 / 11.0, most = max(max(now), 1e-6);
  for (int i = 0; i < 121; i++) {
    float heat = now[i] / most;
    fill(25 + 230 * pow(heat, 0.6), 25 + 200 * pow(heat, 1.5), 60 + 40 * heat);
    rect(10 + (i % 11) * cell, 10 + (10 - i / 11) * cell, cell, cell);
  }
  fill(255);
  circle(map(valence, -1, 1, 10, 610), map(arousal, -1, 1, 610, 10), 18);
  float[] shares = quadrants;
  for (int i = 0; i < 4; i++) {
    fill(colours[i]);
    rect(10 + 150 * i, 630, 140 * shares[i], 14);
    text(MOODS[i] + " " + round(100 * shares[i]) + " %", 10 + 150 * i, 670);
  }
}
