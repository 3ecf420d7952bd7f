//! Charts of a period: what would have been lost, how long restores took, what was covered when, every drill.

use vouchsafe_model::period::{PeriodAssessment, ProtectionPeriod};
use vouchsafe_model::{Span, Time};

use crate::drawing::{Anchor, Drawing, Ink, Shape};
use crate::words::{count, len};

const WIDTH: f64 = 720.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 10.0;
const TOP: f64 = 18.0;
const TICKS: u32 = 4;

/// The stretch of time along which everything is drawn.
#[derive(Clone, Copy)]
struct Along {
    from: Time,
    to: Time,
    left: f64,
}

impl Along {
    fn x(self, at: Time) -> f64 {
        let whole = real(self.to.since(self.from).micros().max(1));
        let part = real(at.min(self.to).since(self.from).micros());
        self.left + part / whole * (WIDTH - RIGHT - self.left)
    }

    /// The axis at `y`, with days or hours beneath it.
    fn axis(self, y: f64) -> Vec<Shape> {
        let whole = self.to.since(self.from).micros();
        let form = match whole > Span::from_days(3).micros() {
            true => "%Y-%m-%d",
            false => "%m-%d %H:%M",
        };
        let mut shapes = vec![line(&[(self.left, y), (WIDTH - RIGHT, y)], Ink::Plain, 1.0)];
        for i in 0..=TICKS {
            let part = u128::from(whole) * u128::from(i) / u128::from(TICKS);
            let at = self
                .from
                .plus(Span::from_micros(u64::try_from(part).unwrap_or(0)));
            let x = self.x(at);
            shapes.push(line(&[(x, y), (x, y + 4.0)], Ink::Plain, 1.0));
            let anchor = match i {
                0 => Anchor::Start,
                TICKS => Anchor::End,
                _ => Anchor::Middle,
            };
            let label = at.to_timestamp().strftime(form).to_string();
            shapes.push(text((x, y + 16.0), anchor, Ink::Plain, label));
        }
        shapes
    }
}

/// What would have been lost of one protection at each moment of the period, against its target; nothing where it was
/// not measured.
pub(crate) fn rpo(period: &PeriodAssessment, p: &ProtectionPeriod) -> Option<Drawing> {
    let worst = p.worst_rpo?;
    let along = along(period, LEFT);
    let top = worst.max(p.target_rpo.unwrap_or_default());
    let mut scale = Scale::to(top);
    let mut shapes = scale.grid(130.0);
    let mut run: Vec<(f64, f64)> = Vec::new();
    for turn in &p.rpo {
        let x = along.x(turn.at);
        run.extend(turn.before.map(|lost| (x, scale.y(lost))));
        match turn.after {
            Some(after) if turn.before != turn.after => run.push((x, scale.y(after))),
            Some(_) => {}
            None => shapes.extend(stroke(&mut run)),
        }
    }
    shapes.extend(stroke(&mut run));
    shapes.extend(target(&scale, p.target_rpo, "RPO"));
    shapes.extend(along.axis(scale.floor()));
    let at = p
        .worst_rpo_at
        .map_or(String::new(), |t| format!(", at {}", t.minute()));
    let goal = p
        .target_rpo
        .map_or("no target".to_owned(), |t| format!("target {t}"));
    let without = match p.without_copy.micros() {
        0 => String::new(),
        _ => format!(" For {} there was no copy.", p.without_copy),
    };
    let said = format!("worst {worst}{at}; {goal}");
    Some(Drawing {
        width: WIDTH,
        height: scale.floor() + 24.0,
        label: format!("Achieved RPO of {} over the period: {said}", p.id),
        caption: format!(
            "Achieved RPO: what would have been lost at each moment, by the best copy outside the system's own failure domain: {said}.{without}"
        ),
        shapes,
    })
}

/// How long each drill of one protection took, against its target; nothing where there was none.
pub(crate) fn rto(period: &PeriodAssessment, p: &ProtectionPeriod) -> Option<Drawing> {
    let worst = p.drills.iter().map(|d| d.achieved_rto).max()?;
    let along = along(period, LEFT);
    // A target far above everything measured would press all marks to the floor.
    let near = p
        .target_rto
        .filter(|t| t.micros() <= worst.micros().saturating_mul(6));
    let mut scale = Scale::to(worst.max(near.unwrap_or_default()));
    let mut shapes = scale.grid(110.0);
    let points: Vec<(f64, f64)> = p
        .drills
        .iter()
        .map(|d| (along.x(d.ended), scale.y(d.achieved_rto)))
        .collect();
    shapes.push(line(&points, Ink::Faint, 1.2));
    for (drill, at) in p.drills.iter().zip(points) {
        shapes.push(match drill.is_good() {
            true => Shape::Dot { at, ink: Ink::Good },
            false => Shape::Cross { at, ink: Ink::Bad },
        });
    }
    shapes.extend(target(&scale, near, "RTO"));
    shapes.extend(along.axis(scale.floor()));
    let good = p.drills.iter().filter(|d| d.is_good()).count();
    let goal = p
        .target_rto
        .map_or("no target".to_owned(), |t| format!("target {t}"));
    let said = format!(
        "{good} of {} good, the longest {worst}; {goal}",
        count(len(p.drills.len()), "drill")
    );
    Some(Drawing {
        width: WIDTH,
        height: scale.floor() + 24.0,
        label: format!("Achieved RTO of {} over the period: {said}", p.id),
        caption: format!(
            "Achieved RTO of each drill (dot: green and in time; cross: not): {said}."
        ),
        shapes,
    })
}

/// When each protection had a copy young enough; nothing where none was measured.
pub(crate) fn coverage(period: &PeriodAssessment) -> Option<Drawing> {
    let rows: Vec<&ProtectionPeriod> = period.protections.iter().collect();
    if rows.iter().all(|p| p.measured_from.is_none()) {
        return None;
    }
    let strips = |p: &ProtectionPeriod, along: Along, y: f64| strip(p, along, y);
    let measured = rows.iter().filter(|p| p.measured_from.is_some()).count();
    let said = format!(
        "{measured} of {} measured",
        count(len(rows.len()), "protection")
    );
    Some(by_row(
        period,
        &rows,
        &strips,
        format!("Coverage over the period: {said}"),
        format!(
            "Coverage: green where the best copy was within the RPO (or, without one, where there was a copy), red where it was not, grey where nothing was measured; {said}."
        ),
    ))
}

/// Every drill of every protection; nothing where there was none.
pub(crate) fn drills(period: &PeriodAssessment) -> Option<Drawing> {
    let rows: Vec<&ProtectionPeriod> = period.protections.iter().collect();
    let all: Vec<bool> = rows
        .iter()
        .flat_map(|p| p.drills.iter().map(|d| d.is_good()))
        .collect();
    if all.is_empty() {
        return None;
    }
    let marks = |p: &ProtectionPeriod, along: Along, y: f64| {
        let middle = y + 6.0;
        let mut shapes = vec![line(
            &[(along.left, middle), (WIDTH - RIGHT, middle)],
            Ink::Faint,
            1.0,
        )];
        shapes.extend(p.drills.iter().map(|d| {
            let at = (along.x(d.ended), middle);
            match d.is_good() {
                true => Shape::Dot { at, ink: Ink::Good },
                false => Shape::Cross { at, ink: Ink::Bad },
            }
        }));
        shapes
    };
    let never = rows.iter().filter(|p| p.drills.is_empty()).count();
    let said = format!(
        "{} of {} good; {} without any",
        all.iter().filter(|good| **good).count(),
        count(len(all.len()), "drill"),
        count(len(never), "protection")
    );
    Some(by_row(
        period,
        &rows,
        &marks,
        format!("Drills over the period: {said}"),
        format!("Drills (dot: green and in time; cross: not): {said}."),
    ))
}

type Row<'a> = &'a dyn Fn(&ProtectionPeriod, Along, f64) -> Vec<Shape>;

/// One line for each protection, its name before it.
fn by_row(
    period: &PeriodAssessment,
    rows: &[&ProtectionPeriod],
    row: Row<'_>,
    label: String,
    caption: String,
) -> Drawing {
    const STEP: f64 = 18.0;
    let longest = rows
        .iter()
        .map(|p| p.id.to_string().chars().count())
        .max()
        .unwrap_or(0);
    let left = (real(len(longest.min(30))) * 6.1 + 10.0).max(LEFT);
    let along = along(period, left);
    let mut shapes = Vec::new();
    let mut y = 4.0;
    for p in rows {
        let name = p.id.to_string();
        let shown = match name.chars().count() > 30 {
            true => format!("{}…", name.chars().take(29).collect::<String>()),
            false => name,
        };
        shapes.push(text((left - 6.0, y + 10.0), Anchor::End, Ink::Plain, shown));
        shapes.extend(row(p, along, y));
        y += STEP;
    }
    shapes.extend(along.axis(y + 2.0));
    Drawing {
        width: WIDTH,
        height: y + 26.0,
        label,
        caption,
        shapes,
    }
}

/// Where one protection was within its target.
fn strip(p: &ProtectionPeriod, along: Along, y: f64) -> Vec<Shape> {
    let bar = |from: Time, to: Time, ink: Ink| {
        let (a, b) = (along.x(from), along.x(to));
        Shape::Rect {
            at: (a, y),
            size: ((b - a).max(0.0), 12.0),
            ink,
        }
    };
    let mut shapes = vec![bar(along.from, along.to, Ink::Faint)];
    for pair in p.rpo.windows(2) {
        let [one, next] = pair else { continue };
        match (one.after, p.target_rpo) {
            (None, _) => shapes.push(bar(one.at, next.at, Ink::Bad)),
            (Some(_), None) => shapes.push(bar(one.at, next.at, Ink::Good)),
            (Some(lost), Some(target)) => {
                // What is lost grows with time: it crosses the target once, or not.
                let left = Span::from_micros(target.micros().saturating_sub(lost.micros()));
                let crossing = one.at.plus(left).min(next.at);
                shapes.push(bar(one.at, crossing, Ink::Good));
                if crossing < next.at {
                    shapes.push(bar(crossing, next.at, Ink::Bad));
                }
            }
        }
    }
    shapes
}

fn along(period: &PeriodAssessment, left: f64) -> Along {
    Along {
        from: period.from,
        to: period.to,
        left,
    }
}

/// Spans upwards, from nothing to a round one above the largest.
struct Scale {
    top: Span,
    step: Span,
    height: f64,
}

impl Scale {
    fn to(largest: Span) -> Scale {
        const STEPS: [u64; 22] = [
            1, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200,
            86_400, 172_800, 604_800, 1_209_600, 2_592_000, 31_536_000,
        ];
        let secs = largest.secs().max(1);
        let step = STEPS
            .into_iter()
            .find(|s| secs.div_ceil(*s) <= 4)
            .unwrap_or(secs);
        let steps = (secs + step / 8).div_ceil(step).max(1);
        Scale {
            top: Span::from_secs(step.saturating_mul(steps)),
            step: Span::from_secs(step),
            height: 0.0,
        }
    }

    fn y(&self, span: Span) -> f64 {
        let part = real(span.micros()) / real(self.top.micros().max(1));
        TOP + (1.0 - part.min(1.0)) * self.height
    }

    fn floor(&self) -> f64 {
        TOP + self.height
    }

    fn grid(&mut self, height: f64) -> Vec<Shape> {
        self.height = height;
        let mut shapes = Vec::new();
        let mut at = 0;
        while at <= self.top.micros() {
            let span = Span::from_micros(at);
            let y = self.y(span);
            shapes.push(line(&[(LEFT, y), (WIDTH - RIGHT, y)], Ink::Faint, 0.6));
            shapes.push(text(
                (LEFT - 6.0, y + 4.0),
                Anchor::End,
                Ink::Plain,
                span.to_string(),
            ));
            at = at.saturating_add(self.step.micros().max(1));
        }
        shapes
    }
}

fn target(scale: &Scale, target: Option<Span>, name: &str) -> Vec<Shape> {
    let Some(target) = target else {
        return Vec::new();
    };
    let y = scale.y(target);
    vec![
        Shape::Line {
            points: vec![(LEFT, y), (WIDTH - RIGHT, y)],
            ink: Ink::Bad,
            width: 1.4,
            dashed: true,
        },
        text(
            (WIDTH - RIGHT, y - 4.0),
            Anchor::End,
            Ink::Bad,
            format!("target {name} {target}"),
        ),
    ]
}

fn stroke(points: &mut Vec<(f64, f64)>) -> Option<Shape> {
    let points = std::mem::take(points);
    (points.len() > 1).then(|| line(&points, Ink::Blue, 1.6))
}

fn line(points: &[(f64, f64)], ink: Ink, width: f64) -> Shape {
    Shape::Line {
        points: points.to_vec(),
        ink,
        width,
        dashed: false,
    }
}

fn text(at: (f64, f64), anchor: Anchor, ink: Ink, text: String) -> Shape {
    Shape::Text {
        at,
        anchor,
        ink,
        text,
    }
}

/// Exact enough for a drawing.
#[allow(clippy::cast_precision_loss)]
fn real(n: u64) -> f64 {
    n as f64
}
