//! What was measured, as a table for people and as JSON for programs.

use std::fmt;

use serde_json::{Value, json};

use super::child::Run;

/// All runs of one program on one workload.
pub struct Configuration {
    /// `floor`, or `eddy, 2 workers`.
    pub name: String,
    /// 0: the floor.
    pub workers: usize,
    /// In the order of the rounds.
    pub runs: Vec<Run>,
}

/// One workload's result; the floor is the first configuration.
pub struct Report {
    pub workload: String,
    pub records: u64,
    pub bytes: u64,
    pub views: Vec<&'static str>,
    pub configurations: Vec<Configuration>,
    /// Rows that the floor and every configuration have alike.
    pub rows_equal: u64,
}

/// Sorts in place; the mean of the two in the middle where their number is even. There is at least one.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0
}

/// A number of each run.
#[derive(Clone, Copy)]
enum Measure {
    RecordsPerSecond,
    RecordsPerCpuSecond,
    PeakRssBytes,
}

const MEASURES: [(Measure, &str); 3] = [
    (Measure::RecordsPerSecond, "records_per_second"),
    (Measure::RecordsPerCpuSecond, "records_per_cpu_second"),
    (Measure::PeakRssBytes, "peak_rss_bytes"),
];

impl Measure {
    fn of(self, run: &Run) -> f64 {
        match self {
            Measure::RecordsPerSecond => run.read as f64 / run.seconds.max(1e-9),
            Measure::RecordsPerCpuSecond => run.read as f64 / run.cpu_seconds.max(1e-9),
            Measure::PeakRssBytes => run.peak_rss_bytes as f64,
        }
    }
}

impl Configuration {
    fn min(&self, measure: Measure) -> f64 {
        self.runs.iter().map(|run| measure.of(run)).fold(f64::INFINITY, f64::min)
    }

    fn median(&self, measure: Measure) -> f64 {
        median(&mut self.runs.iter().map(|run| measure.of(run)).collect::<Vec<_>>())
    }

    /// Median over the rounds of this by the floor's, both of one round.
    fn ratio(&self, floor: &Configuration, measure: Measure) -> f64 {
        median(&mut self.runs.iter().zip(&floor.runs).map(|(run, floor)| measure.of(run) / measure.of(floor).max(1e-9)).collect::<Vec<_>>())
    }

    fn json(&self, floor: &Configuration) -> Value {
        let per =
            |f: &dyn Fn(Measure) -> Value| MEASURES.iter().map(|(m, name)| ((*name).to_owned(), f(*m))).collect::<serde_json::Map<_, _>>();
        json!({
            "name": self.name,
            "workers": self.workers,
            "runs": self.runs.iter().map(|run| json!({
                "seconds": run.seconds, "cpu_seconds": run.cpu_seconds, "peak_rss_bytes": run.peak_rss_bytes,
            })).collect::<Vec<_>>(),
            "min": per(&|m| self.min(m).round().into()),
            "median": per(&|m| self.median(m).round().into()),
            "ratio": per(&|m| ((self.ratio(floor, m) * 1e3).round() / 1e3).into()),
        })
    }
}

impl Report {
    pub fn json(&self) -> Value {
        let floor = &self.configurations[0];
        json!({
            "workload": self.workload,
            "records": self.records,
            "bytes": self.bytes,
            "views": self.views,
            "tables_agree": true,
            "rows_equal": self.rows_equal,
            "configurations": self.configurations.iter().map(|c| c.json(floor)).collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let floor = &self.configurations[0];
        let rounds = floor.runs.len();
        writeln!(
            f,
            "{}: {} records, {} MB, {rounds} rounds; views {}",
            self.workload,
            self.records,
            self.bytes >> 20,
            self.views.join(", ")
        )?;
        writeln!(f, "{:<18}{:>22}{:>22}{:>18}   ratio to the floor", "", "records/s", "records/CPU-s", "peak MB")?;
        writeln!(f, "{:<18}{:>22}{:>22}{:>18}   wall    CPU     memory", "", "min / median", "min / median", "min / median")?;
        for configuration in &self.configurations {
            let pair = |measure, by: f64| format!("{:.0} / {:.0}", configuration.min(measure) / by, configuration.median(measure) / by);
            let ratio = |measure| configuration.ratio(floor, measure);
            writeln!(
                f,
                "{:<18}{:>22}{:>22}{:>18}   {:<8.2}{:<8.2}{:.2}",
                configuration.name,
                pair(Measure::RecordsPerSecond, 1.0),
                pair(Measure::RecordsPerCpuSecond, 1.0),
                pair(Measure::PeakRssBytes, 1048576.0),
                ratio(Measure::RecordsPerSecond),
                ratio(Measure::RecordsPerCpuSecond),
                ratio(Measure::PeakRssBytes),
            )?;
        }
        writeln!(f, "tables agree: {} rows equal in every configuration", self.rows_equal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(seconds: &[f64]) -> Vec<Run> {
        seconds.iter().map(|s| Run { seconds: *s, cpu_seconds: 2.0 * s, peak_rss_bytes: 1 << 20, read: 1_000 }).collect()
    }

    #[test]
    fn the_ratio_is_the_median_of_the_rounds() {
        // The last round was disturbed as a whole: both took ten times as long.
        let floor = Configuration { name: "floor".into(), workers: 0, runs: runs(&[1.0, 1.0, 10.0]) };
        let eddy = Configuration { name: "eddy".into(), workers: 1, runs: runs(&[0.5, 0.5, 5.0]) };
        assert_eq!(eddy.ratio(&floor, Measure::RecordsPerSecond), 2.0);
        assert_eq!(eddy.ratio(&floor, Measure::RecordsPerCpuSecond), 2.0);
        assert_eq!(median(&mut [3.0, 1.0, 2.0, 10.0]), 2.5);
    }
}
