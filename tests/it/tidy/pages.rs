//! What can be cited: sections, guarantees, decisions, quirks and anchors of the Markdown pages.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

use super::Text;

static HEADING: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^#{1,6} +(.*?)\s*$").unwrap());
static NUMBER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^(\d+(?:\.\d+)*)\.? ").unwrap());
static ID: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#"<a id="([^"]+)"></a>"#).unwrap());
static LINK: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"!?\[([^\]]*)\]\([^)]*\)").unwrap());

/// What of a page can be linked or cited.
#[derive(Default)]
pub(super) struct Page {
    /// As GitHub names them, and those of `<a id="…">`.
    pub(super) anchors: HashSet<String>,
    /// `3`, `6.2`.
    pub(super) sections: HashSet<String>,
    /// The texts of its headings.
    pub(super) titles: HashSet<String>,
}

impl Page {
    pub(super) fn new(markdown: &str) -> Self {
        let mut page = Self::default();
        let mut uses = HashMap::<String, usize>::new();
        for (_, line) in prose(markdown) {
            page.anchors.extend(ID.captures_iter(line).map(|id| id[1].to_owned()));
            let Some(heading) = HEADING.captures(line) else { continue };
            let title = LINK.replace_all(&heading[1], "$1").replace('`', "");
            page.sections.extend(NUMBER.captures(&title).map(|number| number[1].to_owned()));
            let slug = slug(&title);
            let before = uses.entry(slug.clone()).or_default();
            page.anchors.insert(if *before == 0 { slug } else { format!("{slug}-{before}") });
            *before += 1;
            page.titles.insert(title);
        }
        page
    }

    /// Whether it has the heading `Guarantee N: …`.
    pub(super) fn has_guarantee(&self, number: &str) -> bool {
        self.titles.iter().any(|title| title.starts_with(&format!("Guarantee {number}: ")))
    }
}

/// All Markdown pages, by path from the root.
pub(super) fn pages(texts: &[Text]) -> HashMap<&str, Page> {
    texts
        .iter()
        .filter(|text| is_markdown(&text.path))
        .map(|text| (text.path.as_str(), Page::new(&text.content)))
        .collect()
}

pub(super) fn is_markdown(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "md")
}

/// The lines of a page outside fenced code, with their numbers from 1.
pub(super) fn prose(markdown: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    markdown.lines().enumerate().filter_map(move |(index, line)| {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            return None;
        }
        (!fenced).then_some((index + 1, line))
    })
}

/// How GitHub makes an anchor of a heading.
fn slug(title: &str) -> String {
    let kept = title.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn anchors_are_those_of_github() {
    assert_eq!(
        slug("2.1 Taking a submission: POST /process-data-{cc|sf}"),
        "21-taking-a-submission-post-process-data-ccsf"
    );
    assert_eq!(slug("2. Registration → wetmills"), "2-registration--wetmills");
    let page = Page::new(
        "# Twice\n## Twice\n```sh\n# a comment\n```\n| <a id=\"s5\"></a>S5 | x |\n## 6.2 `Helpers`\n",
    );
    assert!(["twice", "twice-1", "s5", "62-helpers"].iter().all(|anchor| page.anchors.contains(*anchor)));
    assert!(!page.anchors.contains("a-comment"));
    assert!(page.sections.contains("6.2"));
}
