#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""tests/bench/chart.py FIGURES.json CHART.svg: throughput and latency over queue depth and over
connections, ours and stgt's, as tests/bench/scale --json has measured them."""
import json
import math
import os
import sys
from xml.sax.saxutils import escape

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import benchlib  # noqa: E402

WIDTH, HEIGHT = 900, 720
PANEL_W, PANEL_H = 360, 220
LEFT, TOP, GAP_X, GAP_Y = 65, 110, 85, 80
COLOURS = {"tgt ram": "#1b7837", "tgt rdwr": "#2166ac", "stgt rdwr": "#d6604d"}
DASHES = {"lat_us.p50": "", "lat_us.p99": "5 3"}
FONT = "font-family='DejaVu Sans, Helvetica, Arial, sans-serif'"


def text(x, y, s, size=12, anchor="middle", extra=""):
    return (f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' text-anchor='{anchor}' fill='#222' "
            f"{FONT} {extra}>{escape(s)}</text>")


def line(x1, y1, x2, y2, colour="#ddd", width=1.0):
    return (f"<line x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}' stroke='{colour}' "
            f"stroke-width='{width}'/>")


class Linear:
    def __init__(self, values):
        top = max(values)
        step = 10 ** math.floor(math.log10(top))
        step = next(s for s in (step / 5, step / 2, step, step * 2) if top / s <= 6)
        self.top = math.ceil(top / step) * step
        self.ticks = [i * step for i in range(round(self.top / step) + 1)]

    def place(self, v):
        return v / self.top


class Logarithmic:
    def __init__(self, values):
        self.low = math.floor(math.log10(min(values)))
        self.high = math.ceil(math.log10(max(values)))
        self.ticks = [10 ** e for e in range(self.low, self.high + 1)]

    def place(self, v):
        return (math.log10(v) - self.low) / (self.high - self.low)


def short(v):
    return f"{v / 1000:g} k" if v >= 1000 else f"{v:g}"


def panel(column, row, title, x_title, series, scale):
    """series: [(label, dash, [(x, y)])]; x doubles from tick to tick."""
    x0 = LEFT + column * (PANEL_W + GAP_X)
    y0 = TOP + row * (PANEL_H + GAP_Y)
    xs = [x for x, _ in series[0][2]]
    y_scale = scale([y for _, _, points in series for _, y in points])

    def at(x, y):
        span = math.log2(xs[-1]) - math.log2(xs[0])
        return (x0 + (math.log2(x) - math.log2(xs[0])) / span * PANEL_W,
                y0 + PANEL_H - y_scale.place(y) * PANEL_H)

    out = [text(x0, y0 - 10, title, 13, "start", "font-weight='bold'")]
    for t in y_scale.ticks:
        _, y = at(xs[0], t)
        out += [line(x0, y, x0 + PANEL_W, y), text(x0 - 6, y + 4, short(t), 11, "end")]
    for x in xs:
        out.append(text(at(x, y_scale.ticks[-1])[0], y0 + PANEL_H + 16, str(x), 11))
    out += [line(x0, y0 + PANEL_H, x0 + PANEL_W, y0 + PANEL_H, "#555"),
            text(x0 + PANEL_W / 2, y0 + PANEL_H + 33, x_title, 12)]
    for label, dash, points in series:
        places = [at(x, y) for x, y in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        out.append(f"<polyline points='{path}' fill='none' stroke='{COLOURS[label]}' "
                   f"stroke-width='2' stroke-dasharray='{dash}'/>")
        if not dash:
            out += [f"<circle cx='{x:.1f}' cy='{y:.1f}' r='3' fill='{COLOURS[label]}'/>"
                    for x, y in places]
    return out


def legend():
    out, x = [], LEFT
    for label, colour in COLOURS.items():
        out += [line(x, 62, x + 26, 62, colour, 3), text(x + 32, 66, label, 12, "start")]
        x += 125
    for name, dash in (("median", ""), ("99th percentile", "5 3")):
        out.append(f"<line x1='{x}' y1='62' x2='{x + 30}' y2='62' stroke='#555' stroke-width='2' "
                   f"stroke-dasharray='{dash}'/>")
        out.append(text(x + 36, 66, name, 12, "start"))
        x += 120
    return out


def draw(figures):
    sweep = figures["sweep"]
    titles = {"depth": "commands in flight, one connection",
              "connections": f"connections, {sweep['connections_depth']} commands in flight in each"}
    out = [f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' "
           f"width='{WIDTH}' height='{HEIGHT}'>",
           f"<rect width='{WIDTH}' height='{HEIGHT}' fill='white'/>",
           text(LEFT, 30, "4 KiB random reads: tgt and stgt on the same file in memory, and tgt's ram",
                16, "start", "font-weight='bold'")]
    out += legend()
    for column, axis in enumerate(("depth", "connections")):
        lines = [(label, "", [(p["x"], p["iops"]) for p in points])
                 for label, points in sweep[axis].items()]
        out += panel(column, 0, "IOPS", titles[axis], lines, Linear)
        lines = [(label, dash, [(p["x"], p[key]) for p in points])
                 for label, points in sweep[axis].items() for key, dash in DASHES.items()]
        out += panel(column, 1, "latency in us", titles[axis], lines, Logarithmic)
    words = benchlib.machine_text(figures["machine"]).split("; ")
    out += [text(WIDTH / 2, HEIGHT - 26, words[0], 11),
            text(WIDTH / 2, HEIGHT - 10, "; ".join(words[1:]) + "; load generator on the same cores",
                 11), "</svg>"]
    return "\n".join(out) + "\n"


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[1]) as f:
        figures = json.load(f)
    with open(sys.argv[2], "w") as f:
        f.write(draw(figures))


if __name__ == "__main__":
    main()
