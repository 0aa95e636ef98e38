//! Processed and failed records per hour, as an SVG with its numbers beneath.

use chrono::{DateTime, TimeDelta, Timelike, Utc};
use maud::{Markup, html};

use crate::submission::{Attempt, AttemptOutcome};

/// Hours that are shown, the current one included.
pub(super) const HOURS: usize = 24;

/// Size of the drawing, in its own units.
const WIDTH: usize = 360;
const HEIGHT: usize = 120;
/// Room for the numbers at the left and the hours below.
const LEFT: usize = 36;
const BELOW: usize = 18;
/// Room above the highest bar.
const ABOVE: usize = 8;

/// Runs of one hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hour {
    /// Its beginning.
    from: DateTime<Utc>,
    completed: usize,
    failed: usize,
}

/// When the first hour that is shown begins.
pub(super) fn since(now: DateTime<Utc>) -> DateTime<Utc> {
    let this_hour = now
        .with_minute(0)
        .and_then(|time| time.with_second(0))
        .and_then(|time| time.with_nanosecond(0))
        .unwrap_or(now);
    this_hour - TimeDelta::hours(i64::try_from(HOURS).unwrap_or(i64::MAX) - 1)
}

/// The runs that ended in each hour, oldest first.
pub(super) fn hours(attempts: &[Attempt], since: DateTime<Utc>) -> Vec<Hour> {
    let mut hours: Vec<Hour> = (0..HOURS)
        .map(|hour| Hour {
            from: since + TimeDelta::hours(i64::try_from(hour).unwrap_or(i64::MAX)),
            completed: 0,
            failed: 0,
        })
        .collect();
    for attempt in attempts {
        let Some(finished) = attempt.finished.filter(|finished| *finished >= since) else { continue };
        let hour = usize::try_from((finished - since).num_hours()).ok().and_then(|hour| hours.get_mut(hour));
        match (hour, attempt.outcome) {
            (Some(hour), Some(AttemptOutcome::Completed)) => hour.completed += 1,
            (Some(hour), Some(AttemptOutcome::Failed)) => hour.failed += 1,
            _ => {}
        }
    }
    hours
}

/// The drawing, and a table of the same numbers.
pub(super) fn draw(hours: &[Hour]) -> Markup {
    let most = hours.iter().map(|hour| hour.completed + hour.failed).max().unwrap_or(0);
    let (completed, failed) = hours
        .iter()
        .fold((0, 0), |(completed, failed), hour| (completed + hour.completed, failed + hour.failed));
    let words = format!("{completed} runs completed and {failed} failed in the last {HOURS} hours");
    html! {
        figure .chart {
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(words) {
                (scale(most))
                @for (position, hour) in hours.iter().enumerate() { (bar(position, *hour, most)) }
            }
            figcaption {
                span .key.completed { (completed) " completed" }
                span .key.failed { (failed) " failed" }
                span { "per hour, by UTC, in the last " (HOURS) " hours" }
            }
        }
        details {
            summary { "The numbers" }
            table {
                thead { tr { th scope="col" { "Hour (UTC)" } th scope="col" { "Completed" } th scope="col" { "Failed" } } }
                tbody {
                    @for hour in hours.iter().rev().filter(|hour| hour.completed + hour.failed > 0) {
                        tr {
                            th scope="row" { (hour.from.format("%Y-%m-%d %H:00").to_string()) }
                            td { (hour.completed) }
                            td { (hour.failed) }
                        }
                    }
                }
            }
        }
    }
}

/// The base line, and the line of the highest bar.
fn scale(most: usize) -> Markup {
    let base = HEIGHT - BELOW;
    html! {
        @for (y, number) in [(base, 0), (ABOVE, most)] {
            line .grid x1=(LEFT) x2=(WIDTH) y1=(y) y2=(y) {}
            @if number > 0 || y == base {
                text .scale x=(LEFT - 6) y=(y + 4) text-anchor="end" { (number) }
            }
        }
    }
}

fn bar(position: usize, hour: Hour, most: usize) -> Markup {
    let base = HEIGHT - BELOW;
    let room = base - ABOVE;
    let step = (WIDTH - LEFT) / HOURS;
    let x = LEFT + position * step + 1;
    // Even one run among a million is drawn.
    let height = |count: usize| if count == 0 { 0 } else { (count * room / most.max(1)).max(2) };
    let (completed, failed) = (height(hour.completed), height(hour.failed));
    html! {
        g {
            title {
                (hour.from.format("%H:00").to_string()) ": " (hour.completed) " completed, " (hour.failed) " failed"
            }
            rect .completed x=(x) y=(base - completed) width=(step - 2) height=(completed) {}
            rect .failed x=(x) y=(base.saturating_sub(completed + failed)) width=(step - 2) height=(failed) {}
            @if position % 4 == 3 {
                text .scale x=(x + step / 2) y=(HEIGHT - 4) text-anchor="middle" {
                    (hour.from.format("%H").to_string())
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::submission::Trigger;

    fn attempt(finished: &str, outcome: AttemptOutcome) -> Attempt {
        let finished: DateTime<Utc> = finished.parse().unwrap();
        Attempt {
            started: finished,
            finished: Some(finished),
            worker: "w".to_owned(),
            trigger: Trigger::Batch,
            role: None,
            by: None,
            outcome: Some(outcome),
            step: None,
            error: None,
        }
    }

    #[test]
    fn runs_count_in_the_hour_in_which_they_ended() {
        let now = "2026-11-24T10:30:00Z".parse().unwrap();
        let since = since(now);
        assert_eq!(since.to_rfc3339(), "2026-11-23T11:00:00+00:00");
        let attempts = [
            attempt("2026-11-24T10:00:00Z", AttemptOutcome::Completed),
            attempt("2026-11-24T10:29:59Z", AttemptOutcome::Failed),
            attempt("2026-11-24T09:59:59.999Z", AttemptOutcome::Completed),
            attempt("2026-11-23T11:00:00Z", AttemptOutcome::Completed),
            attempt("2026-11-23T10:59:59Z", AttemptOutcome::Completed),
            attempt("2026-11-24T10:10:00Z", AttemptOutcome::Released),
        ];
        let hours = hours(&attempts, since);
        assert_eq!(hours.len(), HOURS);
        assert_eq!((hours[0].completed, hours[22].completed), (1, 1));
        assert_eq!((hours[23].completed, hours[23].failed), (1, 1));
        assert_eq!(hours.iter().map(|hour| hour.completed + hour.failed).sum::<usize>(), 4);
    }

    #[test]
    fn the_highest_bar_fills_the_drawing_and_the_lowest_is_seen() {
        let from = "2026-11-24T10:00:00Z".parse().unwrap();
        let drawn =
            draw(&[Hour { from, completed: 1_000_000, failed: 0 }, Hour { from, completed: 0, failed: 1 }])
                .into_string();
        let room = HEIGHT - BELOW - ABOVE;
        assert!(drawn.contains(&format!(r#"height="{room}""#)) && drawn.contains(r#"height="2""#), "{drawn}");
    }
}
