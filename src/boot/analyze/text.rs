//! The analysis on a terminal.

use std::fmt::Write as _;

use super::{Analysis, Line, seconds};

/// How wide the bars are, in characters.
const WIDTH: f64 = 40.0;

pub(super) fn render(analysis: &Analysis) -> String {
    let mut out = format!("{}\n", analysis.headline);
    let started = analysis.started.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    let facts = [Some(started), analysis.instance_id.clone()];
    let _ = writeln!(out, "{}", facts.into_iter().flatten().collect::<Vec<_>>().join(" · "));
    if !analysis.about.is_empty() {
        let _ = writeln!(out, "{}", analysis.about);
    }
    phases(&mut out, analysis);
    blame(&mut out, analysis);
    path(&mut out, analysis);
    for (step, by) in &analysis.blocked {
        let _ = writeln!(out, "   never ran: {step}, because `{by}` did not succeed");
    }
    out
}

fn phases(out: &mut String, analysis: &Analysis) {
    let all: f64 = analysis.phases.iter().map(|phase| phase.seconds).sum();
    out.push('\n');
    for phase in &analysis.phases {
        let time = seconds(phase.seconds);
        let _ = writeln!(out, "   {:<20}{time:>12}  {}", phase.name, bar(phase.seconds, all));
    }
}

/// The steps by the time that they took.
fn blame(out: &mut String, analysis: &Analysis) {
    let mut lines: Vec<&Line> = analysis.steps.iter().collect();
    lines.sort_by(|a, b| b.took.total_cmp(&a.took));
    let _ = writeln!(out, "\n   {:<12}{:>12}{:>8}{:>13}", "step", "took", "share", "slack");
    for line in lines {
        let share = line.took / analysis.seconds.max(0.001) * 100.0;
        let slack = if line.critical { "critical".to_owned() } else { seconds(line.slack) };
        let _ = writeln!(
            out,
            "   {:<12}{:>12}{share:>6.0} %{slack:>13}  {}",
            line.step,
            seconds(line.took),
            line.title
        );
    }
}

fn path(out: &mut String, analysis: &Analysis) {
    let _ = writeln!(out, "\n   what decided it: {}", analysis.critical_path.join(" → "));
    let on: f64 = analysis.steps.iter().filter(|line| line.critical).map(|line| line.took).sum();
    let between = analysis.seconds - on;
    // Between two steps nothing should happen; a machine without time to spare makes it visible.
    if between > analysis.seconds * 0.05 {
        let _ = writeln!(out, "   between these steps: {}", seconds(between));
    }
}

fn bar(part: f64, all: f64) -> String {
    let cells = (part / all.max(0.001) * WIDTH).round().clamp(0.0, WIDTH);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
    let cells = cells as usize;
    if cells == 0 { "▏".to_owned() } else { "█".repeat(cells) }
}
