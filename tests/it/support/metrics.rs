//! Reads `/metrics` as a scraper does, and holds it to Prometheus' text format, 0.0.4.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::app::TestApp;

type Labels = BTreeMap<String, String>;

/// One scrape.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) text: String,
    types: HashMap<String, String>,
    samples: Vec<(String, Labels, f64)>,
}

impl Metrics {
    /// Scrapes the service.
    pub(crate) async fn of(app: &TestApp) -> Self {
        let answer = app.get("/metrics").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
        Self::parse(&answer.text)
    }

    pub(crate) fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line has no end");
        let mut read = Self { text: text.to_owned(), types: HashMap::new(), samples: Vec::new() };
        let mut helped = BTreeSet::new();
        let mut seen = BTreeSet::new();
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').unwrap();
                assert!(help.len() > 10 && helped.insert(name.to_owned()), "{line}");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                assert!(helped.contains(name) && ["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                assert!(read.types.insert(name.to_owned(), kind.to_owned()).is_none(), "{line} comes twice");
            } else {
                let (series, value) = line.rsplit_once(' ').unwrap();
                assert!(seen.insert(series.to_owned()), "{series} comes twice");
                let (name, labels) = series_of(series);
                assert!(read.family_of(&name).is_some(), "{line} is of no family");
                read.samples.push((name, labels, value.parse().unwrap()));
            }
        }
        read.check_histograms();
        read
    }

    fn family_of(&self, sample: &str) -> Option<&str> {
        let histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| sample.strip_suffix(end));
        let name = histogram.filter(|name| self.types.contains_key(*name)).unwrap_or(sample);
        self.types.get_key_value(name).map(|(name, _)| name.as_str())
    }

    /// Buckets grow, and the last holds everything.
    fn check_histograms(&self) {
        for (name, labels, count) in self.samples.iter().filter(|(name, ..)| name.ends_with("_count")) {
            let name = name.replace("_count", "_bucket");
            let of_it = |sample: &&(String, Labels, f64)| {
                let mut own = sample.1.clone();
                own.remove("le");
                sample.0 == name && own == *labels
            };
            let buckets: Vec<_> = self.samples.iter().filter(of_it).collect();
            assert!(buckets.is_sorted_by_key(|bucket| bucket.2), "{buckets:?}");
            let last = buckets.last().unwrap();
            assert_eq!((last.1["le"].as_str(), last.2), ("+Inf", *count));
        }
    }

    /// The names of its families.
    pub(crate) fn families(&self) -> BTreeSet<&str> {
        self.types.keys().map(String::as_str).collect()
    }

    /// The sum of the series of a name that have these labels; `None` without any.
    pub(crate) fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let name = format!("commcare_sf_{name}");
        let fits =
            |own: &Labels| labels.iter().all(|(key, value)| own.get(*key).is_some_and(|own| own == value));
        let series: Vec<f64> = self
            .samples
            .iter()
            .filter(|sample| sample.0 == name && fits(&sample.1))
            .map(|sample| sample.2)
            .collect();
        (!series.is_empty()).then(|| series.iter().sum())
    }

    /// Fails unless the series of a name with these labels sum up to `expected`.
    #[track_caller]
    pub(crate) fn expect(&self, name: &str, labels: &[(&str, &str)], expected: u32) {
        assert_eq!(self.get(name, labels), Some(f64::from(expected)), "{name} {labels:?} in {}", self.text);
    }

    /// The values that a label has anywhere.
    pub(crate) fn values(&self, label: &str) -> BTreeSet<&str> {
        self.samples.iter().filter_map(|(_, labels, _)| labels.get(label)).map(String::as_str).collect()
    }
}

/// A name and its labels. No label of ours needs escaping, so that none is undone here.
fn series_of(series: &str) -> (String, Labels) {
    let is_name = |name: &str| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let Some((name, labels)) = series.split_once('{') else { return (series.to_owned(), Labels::new()) };
    assert!(is_name(name) && !series.contains('\\'), "{series}");
    let labels = labels.strip_suffix("\"}").unwrap_or_else(|| panic!("{series}"));
    let pairs = labels.split("\",").map(|pair| {
        let (key, value) = pair.split_once("=\"").unwrap();
        assert!(is_name(key) && !value.contains('"'), "{series}");
        (key.to_owned(), value.to_owned())
    });
    (name.to_owned(), pairs.collect())
}
