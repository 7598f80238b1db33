//! The analysis as a picture: a row for each step, its bar where it lies in time, and lines from each
//! step to those that waited for it. The critical path stands out.
//!
//! The colours follow the reader's preference for light or dark. Text has a halo in the colour of the
//! background, so that no line runs through a word.

use std::fmt::Write as _;

use super::{Analysis, Line, seconds};
use crate::boot::status::State;

/// Measures, in pixels.
const WIDTH: f64 = 1000.0;
const LEFT: f64 = 120.0;
const RIGHT: f64 = 40.0;
const TOP: f64 = 158.0;
const ROW: f64 = 28.0;
const BAR: f64 = 14.0;
/// About how wide a character is, at 12 pixels.
const LETTER: f64 = 6.6;
/// A label at the end of a bar needs so much room.
const LABEL: f64 = 70.0;

const STYLE: &str = "\
text { font: 12px system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif; fill: #1f2933;
  paint-order: stroke; stroke: #ffffff; stroke-width: 3px; stroke-linejoin: round }
.back { fill: #ffffff } .stripe { fill: #f4f6f8 }
.title { font-size: 17px; font-weight: 600 } .muted { fill: #66727f } .strong { font-weight: 600 }
.grid { stroke: #dfe4e9; stroke-width: 1 } .slack { stroke: #9aa5b1; stroke-width: 1.5; stroke-dasharray: 2 3 }
.edge { fill: none; stroke: #aab4be; stroke-width: 1.2 } .edge.way { stroke: #c2410c; stroke-width: 2 }
.ok { fill: #4a7fb5 } .hot { fill: #ea580c } .skipped { fill: #b8c2cc } .failed { fill: #b91c1c }
.p0 { fill: #94a3b8 } .p1 { fill: #0f766e } .p2 { fill: #7c6bb0 }
@media (prefers-color-scheme: dark) {
  text { fill: #e4e9ee; stroke: #14191f } .back { fill: #14191f } .stripe { fill: #1b222a }
  .muted { fill: #97a3af } .grid { stroke: #2c353f } .slack { stroke: #6b7885 }
  .edge { stroke: #56626e } .edge.way { stroke: #fb923c }
  .ok { fill: #5b93cb } .hot { fill: #f97316 } .skipped { fill: #4a5662 } .failed { fill: #ef4444 }
  .p0 { fill: #64748b } .p1 { fill: #2dd4bf } .p2 { fill: #a594e0 }
}";

pub(super) fn draw(analysis: &Analysis) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a few dozen steps")]
    let rows = analysis.steps.len() as f64;
    let bottom = TOP + rows * ROW;
    let height = bottom + 62.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" role=\"img\">\n<title>{}</title>\n\
         <style>\n{STYLE}\n</style>\n<rect class=\"back\" width=\"{WIDTH}\" height=\"{height}\"/>\n",
        escaped(&analysis.headline)
    );
    heading(&mut svg, analysis);
    let scale = Scale::new(analysis.seconds);
    stripes(&mut svg, analysis);
    axis(&mut svg, &scale, bottom);
    edges(&mut svg, analysis, &scale, false);
    edges(&mut svg, analysis, &scale, true);
    for (index, line) in analysis.steps.iter().enumerate() {
        row(&mut svg, line, top(index), &scale);
    }
    legend(&mut svg, bottom + 38.0);
    svg + "</svg>\n"
}

/// From seconds to pixels.
struct Scale {
    most: f64,
    tick: f64,
}

impl Scale {
    fn new(seconds: f64) -> Self {
        let most = seconds.max(0.001);
        // About eight ticks, at 1, 2 or 5 times a power of ten.
        let rough = most / 8.0;
        let power = 10_f64.powf(rough.log10().floor());
        let tick = [1.0, 2.0, 5.0, 10.0].map(|times| times * power);
        let tick = tick.into_iter().find(|tick| *tick >= rough).unwrap_or(rough);
        Self { most, tick }
    }

    fn x(&self, seconds: f64) -> f64 {
        LEFT + seconds / self.most * (WIDTH - LEFT - RIGHT)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a few dozen steps")]
fn top(index: usize) -> f64 {
    TOP + index as f64 * ROW
}

fn heading(svg: &mut String, analysis: &Analysis) {
    let fit = |text: &str, letter: f64| shortened(text, (WIDTH - 48.0) / letter);
    let started = analysis.started.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    let facts = [Some(started), analysis.instance_id.clone()];
    let facts = facts.into_iter().flatten().collect::<Vec<_>>().join(" · ");
    let colour = if analysis.state == State::Failed { " failed" } else { "" };
    let headline = fit(&analysis.headline, 9.6);
    let _ = writeln!(svg, "<text class=\"title{colour}\" x=\"24\" y=\"32\">{headline}</text>");
    let _ = writeln!(svg, "<text class=\"muted\" x=\"24\" y=\"52\">{}</text>", fit(&facts, LETTER));
    let about = fit(&analysis.about, LETTER);
    let _ = writeln!(svg, "<text class=\"muted\" x=\"24\" y=\"69\">{about}</text>");
    let all: f64 = analysis.phases.iter().map(|phase| phase.seconds).sum();
    let room = WIDTH - 48.0;
    let (mut x, mut word) = (24.0, 24.0);
    for (index, phase) in analysis.phases.iter().enumerate() {
        let class = (index + usize::from(analysis.phases[0].name != "kernel → agent")).min(2);
        let width = (phase.seconds / all.max(0.001) * room).max(1.0);
        let _ = writeln!(
            svg,
            "<rect class=\"p{class}\" x=\"{x:.1}\" y=\"84\" width=\"{:.1}\" height=\"8\" rx=\"2\"/>",
            (width - 1.0).max(1.0)
        );
        let label = format!("{}  {}", phase.name, seconds(phase.seconds));
        let _ = writeln!(
            svg,
            "<rect class=\"p{class}\" x=\"{word:.1}\" y=\"101\" width=\"9\" height=\"9\" rx=\"2\"/>"
        );
        let _ =
            writeln!(svg, "<text x=\"{:.1}\" y=\"110\">{}</text>", word + 15.0, escaped(&label));
        word += 15.0 + width_of(&label) + 26.0;
        x += width;
    }
}

/// Every second row has another background, which leads the eye from the name to the bar.
fn stripes(svg: &mut String, analysis: &Analysis) {
    for index in (0..analysis.steps.len()).step_by(2) {
        let y = top(index);
        let _ = writeln!(
            svg,
            "<rect class=\"stripe\" x=\"12\" y=\"{y}\" width=\"{}\" height=\"{ROW}\" rx=\"3\"/>",
            WIDTH - 24.0
        );
    }
}

fn axis(svg: &mut String, scale: &Scale, bottom: f64) {
    let mut at = 0.0;
    while at <= scale.most {
        let x = scale.x(at);
        let _ = writeln!(svg, "<path class=\"grid\" d=\"M{x:.1} {} V{bottom}\"/>", TOP - 6.0);
        let label = if at == 0.0 { "0".to_owned() } else { seconds(at) };
        let _ = writeln!(
            svg,
            "<text class=\"muted\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{}\">{label}</text>",
            TOP - 12.0
        );
        at += scale.tick;
    }
}

/// Lines from the end of a step to the beginning of each that waited for it.
fn edges(svg: &mut String, analysis: &Analysis, scale: &Scale, hot: bool) {
    let steps = &analysis.steps;
    for (index, line) in steps.iter().enumerate() {
        for before in &line.after {
            let Some(from) = steps.iter().position(|it| it.step == *before) else { continue };
            let follows = |pair: &[String]| pair[0] == *before && pair[1] == line.step;
            if analysis.critical_path.windows(2).any(follows) != hot {
                continue;
            }
            let (x1, x2) = (scale.x(steps[from].end()), scale.x(line.at).max(LEFT + 2.0));
            let y1 = top(from) + f64::midpoint(ROW, BAR);
            let y2 = top(index) + (ROW - BAR) / 2.0;
            let class = if hot { "edge way" } else { "edge" };
            let between = top(from) + ROW;
            let start = x1 - 1.0;
            let end = x2 + 1.0;
            let _ = writeln!(
                svg,
                "<path class=\"{class}\" d=\"M{start:.1} {y1:.1} V{between:.1} H{end:.1} V{y2:.1}\"/>"
            );
        }
    }
}

fn row(svg: &mut String, line: &Line, y: f64, scale: &Scale) {
    let middle = y + ROW / 2.0;
    let class = match line.outcome.as_str() {
        "failed" => "failed",
        "skipped" => "skipped",
        _ if line.critical => "hot",
        _ => "ok",
    };
    let (x, end) = (scale.x(line.at), scale.x(line.end()));
    let width = (end - x).max(2.0);
    let strong = if line.critical { " class=\"strong\"" } else { "" };
    let _ = writeln!(
        svg,
        "<g><title>{}: {}, from {} on, {}, slack {}</title>\
         <text{strong} text-anchor=\"end\" x=\"{}\" y=\"{:.1}\">{}</text>",
        escaped(&line.title),
        line.outcome,
        seconds(line.at),
        seconds(line.took),
        seconds(line.slack),
        LEFT - 14.0,
        middle + 4.0,
        escaped(&line.step)
    );
    if line.slack > 0.0 {
        let late = scale.x(line.end() + line.slack);
        let from = x + width;
        let _ = writeln!(svg, "<path class=\"slack\" d=\"M{from:.1} {middle} H{late:.1}\"/>");
    }
    let _ = writeln!(
        svg,
        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{BAR}\" rx=\"3\"/>",
        middle - BAR / 2.0
    );
    label(svg, line, x, x + width, middle + 4.0);
    svg.push_str("</g>\n");
}

/// How long it took, and what is told of it: behind the bar, or in front of one that leaves no room.
fn label(svg: &mut String, line: &Line, x: f64, end: f64, y: f64) {
    let time = seconds(line.took);
    let is_told = matches!(line.outcome.as_str(), "failed" | "skipped" | "degraded" | "running");
    let note = match (&line.note, is_told) {
        (Some(note), true) => format!("{}: {note}", line.outcome),
        (None, true) => line.outcome.clone(),
        (_, false) => String::new(),
    };
    let (behind, before) = (WIDTH - RIGHT + 28.0 - end - 8.0, x - LEFT - 8.0);
    let is_behind = behind >= LABEL || behind >= before;
    let room = if is_behind { behind } else { before } - width_of(&time) - 14.0;
    let note = if room < 40.0 { String::new() } else { shortened(&note, room / LETTER) };
    let (anchor, x) = if is_behind { ("start", end + 8.0) } else { ("end", x - 8.0) };
    let gap = if note.is_empty() { "" } else { "  " };
    let _ = write!(
        svg,
        "<text text-anchor=\"{anchor}\" x=\"{x:.1}\" y=\"{y:.1}\" xml:space=\"preserve\">{time}\
         <tspan class=\"muted\">{gap}{note}</tspan></text>"
    );
}

fn legend(svg: &mut String, y: f64) {
    let mut x = 24.0;
    let items = [
        ("hot", "decided the end"),
        ("ok", "ran beside it"),
        ("skipped", "skipped"),
        ("failed", "failed"),
    ];
    for (class, word) in items {
        let _ = writeln!(
            svg,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"18\" height=\"10\" rx=\"3\"/>\
             <text class=\"muted\" x=\"{:.1}\" y=\"{y}\">{word}</text>",
            y - 9.0,
            x + 25.0
        );
        x += 25.0 + width_of(word) + 26.0;
    }
    for (class, word) in [("slack", "could have taken longer"), ("edge", "waited for")] {
        let _ = writeln!(
            svg,
            "<path class=\"{class}\" d=\"M{x:.1} {} H{:.1}\"/>\
             <text class=\"muted\" x=\"{:.1}\" y=\"{y}\">{word}</text>",
            y - 4.0,
            x + 20.0,
            x + 27.0
        );
        x += 27.0 + width_of(word) + 26.0;
    }
}

/// About how wide a text is.
#[expect(clippy::cast_precision_loss, reason = "a line of text")]
fn width_of(text: &str) -> f64 {
    text.chars().count() as f64 * LETTER
}

/// As much of a text as has room, escaped.
fn shortened(text: &str, letters: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
    let most = letters.clamp(1.0, 1000.0) as usize;
    if text.chars().count() <= most {
        return escaped(text);
    }
    escaped(&text.chars().take(most - 1).collect::<String>()) + "…"
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace(|c: char| c.is_control(), " ").replace('"', "&quot;")
}
