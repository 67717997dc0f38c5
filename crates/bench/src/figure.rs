//! One figure beside its bar.

use serde_json::{Map, Value, json};

/// Which side of the bar is the good one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// At most the bar.
    Below,
    /// At least the bar.
    Above,
}

/// A figure.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    bench: String,
    value: f64,
    unit: &'static str,
    bar: f64,
    side: Side,
    more: Map<String, Value>,
}

impl Figure {
    /// A figure that should be at most the bar.
    pub(crate) fn at_most(bench: &str, value: f64, unit: &'static str, bar: f64) -> Self {
        Self { bench: bench.into(), value, unit, bar, side: Side::Below, more: Map::new() }
    }
    /// A figure that should be at least the bar.
    pub(crate) fn at_least(bench: &str, value: f64, unit: &'static str, bar: f64) -> Self {
        Self { side: Side::Above, ..Self::at_most(bench, value, unit, bar) }
    }
    /// Adds what helps to understand it.
    #[must_use]
    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.more.insert(key.into(), value.into());
        self
    }
    /// Adds every run, of which the value is the median.
    #[must_use]
    pub(crate) fn over(self, runs: &[f64]) -> Self {
        let rounded: Vec<f64> = runs.iter().map(|run| round(*run)).collect();
        let least = rounded.iter().copied().fold(f64::INFINITY, f64::min);
        let most = rounded.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        self.with("min", least).with("max", most).with("runs", rounded)
    }
    /// Whether it is on the good side of its bar.
    pub(crate) fn holds(&self) -> bool {
        match self.side {
            Side::Below => self.value <= self.bar,
            Side::Above => self.value >= self.bar,
        }
    }
    /// The line that is printed.
    pub(crate) fn line(&self, as_json: bool) -> String {
        if !as_json {
            let (sign, verdict) = match (self.side, self.holds()) {
                (Side::Below, true) => ("<=", "holds"),
                (Side::Above, true) => (">=", "holds"),
                (Side::Below, false) => ("<=", "MISSED"),
                (Side::Above, false) => (">=", "MISSED"),
            };
            let more: Vec<String> =
                self.more.iter().map(|(key, value)| format!("{key} {value}")).collect();
            return format!(
                "{:<20} {:>10} {} {sign} {}  {verdict}  {}",
                self.bench,
                round(self.value),
                self.unit,
                self.bar,
                more.join(", ")
            );
        }
        let mut line = json!({
            "bench": self.bench, "value": round(self.value), "unit": self.unit, "bar": self.bar, "holds": self.holds(),
        });
        if let Some(line) = line.as_object_mut() {
            line.extend(self.more.clone());
        }
        line.to_string()
    }
}

/// The middle one; the mean of the two in the middle when their number is even. Not a number when there are none.
pub(crate) fn median(runs: &[f64]) -> f64 {
    let mut sorted = runs.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.get(middle), middle.checked_sub(1).and_then(|below| sorted.get(below))) {
        (Some(upper), Some(lower)) if sorted.len().is_multiple_of(2) => {
            f64::midpoint(*upper, *lower)
        }
        (Some(upper), _) => *upper,
        (None, _) => f64::NAN,
    }
}

/// Four digits after the point: more is noise.
pub(crate) fn round(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_middle() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < f64::EPSILON);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn a_line_carries_the_promised_keys() {
        let line = Figure::at_most("x", 1.23456, "s", 1.0).over(&[1.0, 2.0]).line(true);
        let value: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(
            value,
            json!({"bench": "x", "value": 1.2346, "unit": "s", "bar": 1.0, "holds": false, "min": 1.0, "max": 2.0, "runs": [1.0, 2.0]})
        );
        assert!(Figure::at_least("x", 2.0, "1/s", 1.0).holds());
        assert!(
            !Figure::at_least("x", f64::NAN, "1/s", 1.0).holds(),
            "what could not be measured does not hold"
        );
    }
}
