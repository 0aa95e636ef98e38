//! Citations in comments, texts and pages: files, sections, guarantees, decisions and quirks.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::links::beside;
use super::pages::{Page, is_markdown, pages, prose};
use super::{Text, none, root, texts};

/// The page of the guarantees.
const SERVICE: &str = "docs/service.md";

/// The page of the decisions and quirks of a letter; quirks without letter are CommCare's.
const PAGE_OF: &[(&str, &str)] = &[
    ("S", "docs/mappings/commcare-to-salesforce.md"),
    ("P", "docs/mappings/commcare-to-postgis.md"),
    ("Q", "docs/mappings/commcare-to-postgis.md"),
    ("X", "docs/mappings/salesforce-to-commcare.md"),
];
const QUIRKS: &str = "docs/mappings/salesforce-to-commcare.md";

/// Files that a reader makes: an example's, and his own settings.
const TO_BE_MADE: &[&str] =
    &["deploy/settings.env", "src/jobs/shade_survey.rs", "src/samples/shade_survey.json"];

/// A migration that has run in a database can't change any more: its comments stay as they are.
const APPLIED: &[&str] = &["migrations/postgis/0001_wet_mills.sql"];

static PAGE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"[A-Za-z0-9_.][\w./-]*\.md\b").unwrap());
static PATH: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"`((?:docs|src|tests|deploy|migrations|\.github|\.ci)/[^`\s:]*)").unwrap());
static RULES: LazyLock<Regex> = LazyLock::new(|| {
    let one = r"[SPXQ]?\d+(?:\.\d+)*";
    let word = r"[Ss]ections?|[Gg]uarantees?|[Dd]ecisions?|[Qq]uirks?";
    Regex::new(&format!(r"(?:\b({word})\s|(§) ?)({one}(?:(?:, and |, | and | or | to |–){one})*)")).unwrap()
});
static ONE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"([SPXQ]?)(\d+(?:\.\d+)*)").unwrap());
static TAGGED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b([SPXQ])(\d{1,2})\b").unwrap());
static OF_AN_RFC: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"RFC \d+, $").unwrap());
/// Between a page's name and the section that is cited of it.
static RIGHT_AFTER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^[`)\]]*,? $").unwrap());
/// The rest of a link to a page, seen from inside its text.
static LINKED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[^\[\]]*\]\(([^)#\s]+\.md)(?:#[^)]*)?\)").unwrap());
static OF_README: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"README(?:\.md)?[`)\]]*, "([^"]+)""#).unwrap());
static CODE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"`[^`]*`").unwrap());
static COMMENT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^\s*(?://[/!]?|--|#!?|\*)?\s*").unwrap());

#[test]
fn every_citation_leads_somewhere() {
    let texts = texts();
    let pages = pages(&texts);
    let read =
        |text: &&Text| !APPLIED.contains(&text.path.as_str()) && !text.path.starts_with("tests/it/tidy");
    let problems = texts.iter().filter(read).flat_map(|text| wrong(text, &pages));
    none(&problems.collect::<Vec<_>>());
}

/// A text whose sentences are not cut by line ends and comment signs.
struct Flowing {
    text: String,
    /// Where each line begins, with its number.
    lines: Vec<(usize, usize)>,
}

impl Flowing {
    fn new(source: &Text) -> Self {
        let lines: Vec<_> = if is_markdown(&source.path) {
            prose(&source.content).collect()
        } else {
            source.content.lines().enumerate().map(|(index, line)| (index + 1, line)).collect()
        };
        let mut flowing = Self { text: String::new(), lines: Vec::new() };
        for (number, line) in lines {
            flowing.lines.push((flowing.text.len(), number));
            let begin =
                if is_markdown(&source.path) { 0 } else { COMMENT.find(line).map_or(0, |sign| sign.end()) };
            flowing.text.push_str(line[begin..].trim());
            flowing.text.push(' ');
        }
        flowing
    }

    fn line(&self, offset: usize) -> usize {
        let after = self.lines.partition_point(|(begin, _)| *begin <= offset);
        after.checked_sub(1).map_or(1, |index| self.lines[index].1)
    }
}

fn wrong(source: &Text, pages: &HashMap<&str, Page>) -> Vec<String> {
    let flowing = Flowing::new(source);
    let mut missing = files(source, &flowing.text);
    missing.extend(rules(source, &flowing.text, pages));
    missing.extend(titles(&flowing.text, pages));
    missing.sort();
    let show = |(offset, what): (usize, String)| format!("{}:{}: {what}", source.path, flowing.line(offset));
    missing.into_iter().map(show).collect()
}

fn files(source: &Text, text: &str) -> Vec<(usize, String)> {
    let mut missing = Vec::new();
    let cited = PATH.captures_iter(text).filter_map(|path| path.get(1));
    for path in cited.filter(|path| !path.as_str().contains(['*', '{', '<', '…', '$'])) {
        if !TO_BE_MADE.contains(&path.as_str()) && !root().join(path.as_str()).exists() {
            missing.push((path.start(), format!("there is no {}", path.as_str())));
        }
    }
    for page in PAGE.find_iter(text) {
        // Links are checked as such.
        let linked = text[..page.start()].ends_with("](") || text[..page.start()].ends_with('/');
        if !linked && existing(source, page.as_str()).is_none() {
            missing.push((page.start(), format!("there is no {}", page.as_str())));
        }
    }
    missing
}

/// A page by its path from the root, or from the file that names it.
fn existing(source: &Text, name: &str) -> Option<String> {
    [Ok(name.to_owned()), beside(&source.path, name)]
        .into_iter()
        .flatten()
        .find(|path| root().join(path).is_file())
}

fn rules(source: &Text, text: &str, pages: &HashMap<&str, Page>) -> Vec<(usize, String)> {
    let mut missing = Vec::new();
    for cited in RULES.captures_iter(text) {
        let at = cited.get(0).expect("the whole").start();
        if OF_AN_RFC.is_match(&text[..at]) {
            continue;
        }
        let list = &cited[3];
        missing.extend(
            ONE.captures_iter(list)
                .filter_map(|one| Some((at, rule(source, text, at, &cited, &one, pages)?))),
        );
    }
    let tagged = is_markdown(&source.path)
        .then(|| CODE.replace_all(text, |code: &Captures<'_>| " ".repeat(code[0].len())));
    for tag in tagged.iter().flat_map(|text| TAGGED.captures_iter(text)) {
        let whole = tag.get(0).expect("the whole");
        let denied =
            text[..whole.start()].ends_with("no ") || text[whole.end()..].starts_with(" is not used");
        let problem = tag_missing(&tag[1], &tag[2], pages).filter(|_| !denied);
        missing.extend(problem.map(|problem| (whole.start(), problem)));
    }
    missing
}

/// What is wrong with one number of a citation.
fn rule(
    source: &Text,
    text: &str,
    at: usize,
    cited: &Captures<'_>,
    one: &Captures<'_>,
    pages: &HashMap<&str, Page>,
) -> Option<String> {
    let word = cited.get(1).map_or("section", |word| word.as_str()).to_lowercase();
    let (letter, number) = (&one[1], &one[2]);
    if !letter.is_empty() {
        return tag_missing(letter, number, pages);
    }
    match word.trim_end_matches('s') {
        "guarantee" => {
            (!pages[SERVICE].has_guarantee(number)).then(|| format!("{SERVICE} has no guarantee {number}"))
        }
        "quirk" => (!pages[QUIRKS].anchors.contains(&format!("quirk-{number}")))
            .then(|| format!("{QUIRKS} has no quirk {number}")),
        "decision" => Some(format!("decision {number} has no letter")),
        _ => {
            let Some(page) = page_of_section(source, text, at) else {
                return Some(format!(
                    "section {number} is of no page: name it before, as `docs/service.md`, section 3"
                ));
            };
            let has = pages.get(page.as_str()).is_some_and(|page| page.sections.contains(number));
            (!has).then(|| format!("{page} has no section {number}"))
        }
    }
}

/// The page of a link around the section; else a page cites its own sections, except right after another page's
/// name, and a source file those of the page that it named last.
fn page_of_section(source: &Text, text: &str, at: usize) -> Option<String> {
    if let Some(linked) = LINKED.captures(&text[at..]) {
        return beside(&source.path, &linked[1]).ok();
    }
    let named = PAGE.find_iter(&text[..at]).last();
    let own = source.path.starts_with("docs/").then(|| source.path.clone());
    match named {
        Some(named) if own.is_none() || RIGHT_AFTER.is_match(&text[named.end()..at]) => {
            existing(source, named.as_str())
        }
        _ => own,
    }
}

fn tag_missing(letter: &str, number: &str, pages: &HashMap<&str, Page>) -> Option<String> {
    let (_, page) = PAGE_OF.iter().find(|(of, _)| *of == letter)?;
    let anchor = format!("{}{number}", letter.to_lowercase());
    (!pages[page].anchors.contains(&anchor)).then(|| format!("{page} has no {letter}{number}"))
}

fn titles(text: &str, pages: &HashMap<&str, Page>) -> Vec<(usize, String)> {
    let cited = OF_README.captures_iter(text).filter(|title| !pages["README.md"].titles.contains(&title[1]));
    cited
        .map(|title| {
            (title.get(0).expect("the whole").start(), format!("README.md has no heading \"{}\"", &title[1]))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, content: &str) -> Vec<String> {
        let texts = texts();
        wrong(&Text { path: path.to_owned(), content: content.to_owned() }, &pages(&texts))
    }

    #[test]
    fn what_is_there_is_no_problem() {
        let source = "//! By `docs/service.md`, sections 2–4, and RFC 8259, section 99 (guarantees 3 and 6;\n\
                      //! decision S5, quirk 6; README, \"Try it\").\n/// Section 7.\nconst A: u8 = 1;";
        assert_eq!(found("src/a.rs", source), [""; 0]);
        assert_eq!(
            found(
                "docs/schema.md",
                "See [it](service.md), section 11, [section 2.6](service.md#a). There is no P11."
            ),
            [""; 0]
        );
    }

    #[test]
    fn what_is_not_there_is_named_with_its_line() {
        let source = "//! By `docs/service.md`,\n//! section 99 and\n//! guarantee 99 or decisions S5 and S11, quirk 1.\n\
                      //! `docs/nothing.md`, `src/nothing.rs`, README, \"Nothing\".";
        let expected = [
            "src/a.rs:2: docs/service.md has no section 99",
            "src/a.rs:3: docs/service.md has no guarantee 99",
            "src/a.rs:3: docs/mappings/commcare-to-salesforce.md has no S11",
            "src/a.rs:3: docs/mappings/salesforce-to-commcare.md has no quirk 1",
            "src/a.rs:4: there is no docs/nothing.md",
            "src/a.rs:4: there is no docs/nothing.md",
            "src/a.rs:4: there is no src/nothing.rs",
            "src/a.rs:4: README.md has no heading \"Nothing\"",
        ];
        assert_eq!(found("src/a.rs", source), expected);
    }

    #[test]
    fn a_section_of_no_page_is_a_problem() {
        assert_eq!(found("src/a.rs", "//! As section 3 says.").len(), 1);
        assert_eq!(found("README.md", "See section 3.").len(), 1);
        assert_eq!(found("docs/service.md", "See section 99. P99.").len(), 2);
    }
}
