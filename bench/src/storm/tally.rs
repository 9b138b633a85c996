//! What was counted, and what was wrong.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Serialize;
use serde_json::{Value, json};

use super::cell::{Cell, Token};
use super::world::shown;
use crate::connection::Reply;

/// Wrong answers beyond this number are counted and not told.
const CASES: usize = 20;
/// A wrong answer is told with so many of the last writes to its cell.
const WRITES_TOLD: usize = 16;

/// Filled by all tasks.
pub(super) struct Tally {
    /// Set when the preparations are done.
    started: Mutex<Instant>,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    valid: u64,
    refused: u64,
    stale: u64,
    wrongly_refused: u64,
    cells_lost: u64,
    writes: BTreeMap<&'static str, u64>,
    /// By second and node.
    timeline: BTreeMap<(u64, usize), Second>,
    /// By node and what was attempted.
    errors: BTreeMap<(usize, &'static str), Vec<Failure>>,
    cases: Vec<Value>,
}

#[derive(Default, Serialize, Clone, Copy)]
struct Second {
    right: u64,
    errors: u64,
}

#[derive(Serialize)]
struct Failure {
    /// Seconds since the start.
    first: f64,
    last: f64,
    count: u64,
    text: String,
}

/// A wrong answer.
pub(super) struct Case<'a> {
    pub(super) node: usize,
    pub(super) cell: &'a Cell,
    pub(super) token: &'a Token,
    pub(super) by_itself: bool,
    pub(super) began: Instant,
    pub(super) ended: Instant,
    pub(super) reply: &'a Reply,
    pub(super) refused: bool,
    pub(super) why: String,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self { started: Mutex::new(Instant::now()), counts: Mutex::default() }
    }

    /// Forgets the preparations.
    pub(super) fn begin(&self) {
        *self.started.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        *self.counts() = Counts::default();
    }

    fn started(&self) -> Instant {
        *self.started.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn right(&self, node: usize, refused: bool) {
        let second = self.started().elapsed().as_secs();
        let mut counts = self.counts();
        *(if refused { &mut counts.refused } else { &mut counts.valid }) += 1;
        counts.timeline.entry((second, node)).or_default().right += 1;
    }

    pub(super) fn wrote(&self, what: &'static str) {
        *self.counts().writes.entry(what).or_default() += 1;
    }

    pub(super) fn cell_lost(&self) {
        self.counts().cells_lost += 1;
    }

    /// No answer, or one that says that the server cannot.
    pub(super) fn error(&self, node: usize, what: &'static str, text: &str) {
        let now = self.started().elapsed();
        let mut counts = self.counts();
        counts.timeline.entry((now.as_secs(), node)).or_default().errors += 1;
        let failures = counts.errors.entry((node, what)).or_default();
        match failures.iter_mut().find(|failure| failure.text == text) {
            Some(failure) => {
                failure.last = now.as_secs_f64();
                failure.count += 1;
            }
            None => failures.push(Failure {
                first: now.as_secs_f64(),
                last: now.as_secs_f64(),
                count: 1,
                text: text.to_owned(),
            }),
        }
    }

    pub(super) fn wrong(&self, case: &Case<'_>) {
        let started = self.started();
        let at = |instant: Instant| millis(started, instant);
        let told = {
            let history = case.cell.history();
            let writes: Vec<Value> = history
                .last(WRITES_TOLD)
                .iter()
                .map(|write| json!({"begun": at(write.begun), "answered": write.answered.map(at), "what": write.what}))
                .collect();
            json!({
                "kind": if case.refused { "wrongly refused" } else { "stale" },
                "why": case.why,
                "node": case.node,
                "cell": case.cell.label,
                "user_id": case.cell.user_id,
                "project_id": case.cell.project_id,
                "token": case.token.serial,
                "by_itself": case.by_itself,
                "began": at(case.began),
                "ended": at(case.ended),
                "reply": shown(case.reply),
                "last_writes": writes,
            })
        };
        let mut counts = self.counts();
        *(if case.refused { &mut counts.wrongly_refused } else { &mut counts.stale }) += 1;
        if counts.cases.len() < CASES {
            counts.cases.push(told);
        }
    }

    /// Everything, as JSON, and the number of answers that were wrong.
    pub(super) fn report(&self) -> (Value, u64) {
        let counts = self.counts();
        let errors: Vec<Value> = counts
            .errors
            .iter()
            .flat_map(|((node, what), failures)| {
                failures.iter().map(move |failure| json!({"node": node, "what": what, "failure": failure}))
            })
            .collect();
        let timeline: Vec<Value> =
            counts.timeline.iter().map(|((second, node), it)| json!([second, node, it.right, it.errors])).collect();
        let report = json!({
            "seconds": self.started().elapsed().as_secs_f64(),
            "validations": counts.valid + counts.refused,
            "valid": counts.valid,
            "refused": counts.refused,
            "stale": counts.stale,
            "wrongly_refused": counts.wrongly_refused,
            "writes": counts.writes.values().sum::<u64>(),
            "writes_by_kind": counts.writes,
            "cells_lost": counts.cells_lost,
            "errors": errors,
            "timeline": timeline,
            "cases": counts.cases,
        });
        (report, counts.stale + counts.wrongly_refused)
    }

    pub(super) fn errors(&self) -> u64 {
        self.counts().errors.values().flatten().map(|failure| failure.count).sum()
    }
}

/// Milliseconds since the start, negative before it.
fn millis(started: Instant, at: Instant) -> f64 {
    let seconds = match at.checked_duration_since(started) {
        Some(after) => after.as_secs_f64(),
        None => -started.duration_since(at).as_secs_f64(),
    };
    (seconds * 1e6).round() / 1e3
}
