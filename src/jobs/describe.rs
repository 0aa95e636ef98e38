//! From the tables of the jobs to the document of the mappings: the same rows that a form is read by, in words.

use std::borrow::Cow;

use super::country::{ALL, Country};
use super::entry::{Entry, Gives, Label};
use super::fields::{APP, Condition, Piece, Row, Source};
use super::form::{Labels, is_from_top};
use super::record::{Record, Table};

/// The lines of one form type, while its job lists its records.
pub(super) struct Description {
    job_name: &'static str,
    direction: &'static str,
    entries: Vec<Entry>,
    /// A group that stands at another place in some of Zambia's forms, and that place.
    moved: Option<(&'static str, &'static str)>,
}

/// What a step knows of a record: the source of each value, by name. Names that are left out vary.
type Own<'o> = &'o [(&'static str, Source)];

/// Rows of a record, and what is known of them.
struct Lines<'l> {
    record: &'l Record,
    /// The group at which they are read; empty for the whole form.
    group: &'l str,
    own: Own<'l>,
    countries: &'l [Country],
    when: Cow<'static, str>,
    table: &'static str,
}

impl Description {
    pub(super) fn new(job_name: &'static str, direction: &'static str) -> Self {
        Self { job_name, direction, entries: Vec::new(), moved: None }
    }

    pub(super) fn job_name(&self) -> &'static str {
        self.job_name
    }

    pub(super) fn into_entries(self) -> Vec<Entry> {
        self.entries
    }

    /// Some of Zambia's forms have what stands below `group` below `other`.
    pub(super) fn moved_in_zambia(&mut self, group: &'static str, other: &'static str) {
        self.moved = Some((group, other));
    }

    /// Adds a line that no table of Salesforce fields holds.
    pub(super) fn line(&mut self, line: Entry) {
        let line = Entry { job_name: self.job_name, direction: self.direction, ..line };
        if !self.entries.contains(&line) {
            self.entries.push(line);
        }
    }

    /// A record that is read at the whole form.
    pub(super) fn record(&mut self, record: &Record) {
        self.record_given(record, "", &[]);
    }

    /// A record that is read at a group.
    pub(super) fn record_at(&mut self, record: &Record, group: &str) {
        self.record_given(record, group, &[]);
    }

    /// A record of which the step knows more than the form says.
    pub(super) fn record_given(&mut self, record: &Record, group: &str, own: Own) {
        self.family(record, ALL, group, own, "");
    }

    /// The same, for some countries. `table` is where the values that the step knows stand, where that is not the
    /// record's own table.
    pub(super) fn family(
        &mut self,
        record: &Record,
        countries: &[Country],
        group: &str,
        own: Own,
        table: &'static str,
    ) {
        let name = |own: &'static str| if table.is_empty() { own } else { table };
        let first = record.tables.first().map_or("", |table| name(table.name));
        let key = [(record.key, Source::Id(record.id))];
        let lines = Lines { record, group, own, countries, when: record.when.into(), table: first };
        self.rows_of(&lines, &key);
        for part in record.tables.iter().chain(record.optional) {
            for (section, rows) in part.sections {
                let both: Vec<Country> =
                    section.iter().copied().filter(|country| countries.contains(country)).collect();
                let lines = Lines {
                    record,
                    group,
                    own,
                    countries: &both,
                    when: both_conditions(record.when, part.when),
                    table: name(part.name),
                };
                self.rows_of(&lines, rows);
            }
        }
    }

    /// A table that some forms add to a record.
    pub(super) fn table(&mut self, record: &Record, table: &Table) {
        for (countries, rows) in table.sections {
            let when = both_conditions(record.when, table.when);
            let lines = Lines { record, group: "", own: &[], countries, when, table: table.name };
            self.rows_of(&lines, rows);
        }
    }

    /// Rows that go with a record, beside its tables.
    pub(super) fn rows(&mut self, record: &Record, group: &str, own: Own, table: &'static str, rows: &[Row]) {
        let lines = Lines { record, group, own, countries: ALL, when: record.when.into(), table };
        self.rows_of(&lines, rows);
    }

    fn rows_of(&mut self, lines: &Lines, rows: &[Row]) {
        for (field, source) in rows {
            let source = lines.resolve(*source);
            let of_code = label_pairs(source);
            let line = Entry {
                direction: self.direction,
                job_name: self.job_name,
                countries: if lines.countries.len() == ALL.len() {
                    Vec::new()
                } else {
                    lines.countries.iter().map(|country| country.letters()).collect()
                },
                object: lines.record.object.to_owned(),
                external_id_field: lines.record.key,
                external_id: self.shown_id(lines, lines.record.id),
                when: lines.when.to_string(),
                field: (*field).to_owned(),
                paths: self.paths(lines, source),
                source: self.words(lines, source),
                texts: texts(source, &of_code),
                labels: of_code,
                table: lines.table.to_owned(),
                gives: gives(source),
            };
            self.line(line);
        }
    }

    /// The answers of a source, as counted from the top.
    fn paths(&self, lines: &Lines, source: Source) -> Vec<String> {
        let names: Vec<Cow<'static, str>> = match source {
            Source::Text(_) | Source::Flag(_) | Source::Given(_) => Vec::new(),
            Source::Sent(path)
            | Source::SentOrNull(path)
            | Source::FilledOrNull(path)
            | Source::WholeNumber(path)
            | Source::IsOneOf(path, _)
            | Source::Label(path, _)
            | Source::LabelOr(path, ..)
            | Source::LabelExceptIn(_, path, _)
            | Source::Attachment(path)
            | Source::Gps(path, _) => vec![path.into()],
            Source::AttachmentIf(path, Condition::Is(other, _) | Condition::Positive(other)) => {
                vec![path.into(), other.into()]
            }
            Source::FirstFilled(paths) => paths.iter().copied().map(Cow::from).collect(),
            Source::Rule(rule) => rule.paths.iter().copied().map(Cow::from).collect(),
            Source::SentUnder(start, name) => vec![format!("{start}{{{name}}}").into()],
            Source::Id(pieces) => {
                let mut found = Vec::new();
                for piece in pieces {
                    match piece {
                        Piece::Words(_) => {}
                        Piece::Answer(path) => found.push((*path).into()),
                        Piece::Own(name) => {
                            if let Some(Source::Sent(path)) = lines.own(name) {
                                found.push(path.into());
                            }
                        }
                    }
                }
                found
            }
        };
        names.iter().flat_map(|path| self.full_paths(lines, path)).collect()
    }

    /// A path as counted from the top; two where the group stands at two places.
    fn full_paths(&self, lines: &Lines, path: &str) -> Vec<String> {
        if lines.group.is_empty() || is_from_top(path) || path.starts_with("payload.") {
            return vec![path.to_owned()];
        }
        let mut places = vec![format!("{}.{path}", lines.group)];
        if let Some((_, other)) = self.moved.filter(|(group, _)| *group == lines.group)
            && lines.countries.contains(&Country::Zm)
        {
            places.push(format!("{other}.{path}"));
        }
        places
    }

    /// An external id with the paths of its answers in braces.
    fn shown_id(&self, lines: &Lines, pieces: &[Piece]) -> String {
        let shown = |path: &str| {
            let full = self.full_paths(lines, path);
            format!("{{{}}}", full.first().map_or(path, String::as_str))
        };
        let pieces = pieces.iter().map(|piece| match piece {
            Piece::Words(words) => (*words).to_owned(),
            Piece::Answer(path) => shown(path),
            Piece::Own(name) => match lines.own(name) {
                Some(Source::Text(text)) => text.to_owned(),
                Some(Source::Sent(path)) => shown(path),
                _ => format!("{{{name}}}"),
            },
        });
        pieces.collect()
    }

    /// A source in words.
    fn words(&self, lines: &Lines, source: Source) -> String {
        match source {
            Source::Text("") => "always blank".to_owned(),
            Source::Text(text) => format!("always \"{text}\""),
            Source::Flag(flag) => format!("always {flag}"),
            Source::Sent(_) => "the answer as sent; blank where it is missing".to_owned(),
            Source::SentOrNull(_) => "the answer as sent; empty where it is missing".to_owned(),
            Source::FilledOrNull(_) => "the answer as sent; empty where it is missing or blank".to_owned(),
            Source::FirstFilled(_) => "the first of these answers that is filled in".to_owned(),
            Source::WholeNumber(_) => "the answer as a whole number; empty where it is missing".to_owned(),
            Source::IsOneOf(_, codes) => {
                format!("true where the answer is {}, else false", codes.join(" or "))
            }
            Source::Label(..) | Source::LabelOr(_, _, "") => {
                "the label of the code; blank for a code without label".to_owned()
            }
            Source::LabelOr(_, _, other) => {
                format!("the label of the code; \"{other}\" for a code without label or no answer")
            }
            Source::LabelExceptIn(apps, ..) => format!(
                "the label of the code, blank for a code without label; in apps that send labels, as sent ({APP} is {})",
                apps.join(" or ")
            ),
            Source::Attachment(_) => "the address of the photo or signature".to_owned(),
            Source::AttachmentIf(_, condition) => {
                let condition = match condition {
                    Condition::Is(path, code) => format!("{} is {code}", self.first(lines, path)),
                    Condition::Positive(path) => format!("{} is above 0", self.first(lines, path)),
                };
                format!("the address of the photo, where {condition}; else blank")
            }
            Source::Gps(_, piece) => {
                let part = ["latitude", "longitude", "altitude"][piece];
                format!("the {part} of the coordinates")
            }
            Source::Id([Piece::Answer(_)]) => "the id in the answer".to_owned(),
            Source::Id(pieces) => format!("put together: {}", self.shown_id(lines, pieces)),
            Source::Given(name) => format!("the {name}"),
            Source::SentUnder(..) => {
                "the answer under this key, as sent; blank where it is missing".to_owned()
            }
            Source::Rule(rule) => rule.says.to_owned(),
        }
    }

    fn first(&self, lines: &Lines, path: &str) -> String {
        self.full_paths(lines, path).into_iter().next().unwrap_or_default()
    }
}

impl Lines<'_> {
    fn own(&self, name: &str) -> Option<Source> {
        self.own.iter().find(|(known, _)| *known == name).map(|(_, source)| *source)
    }

    /// The source that the step puts in the place of what it knows.
    fn resolve(&self, source: Source) -> Source {
        match source {
            Source::Given(name) => self.own(name).unwrap_or(source),
            source => source,
        }
    }
}

fn both_conditions(record: &'static str, table: &'static str) -> Cow<'static, str> {
    match (record, table) {
        (one, "") | ("", one) => one.into(),
        (record, table) => format!("{record}; and {table}").into(),
    }
}

/// The codes and labels of label tables, each pair once.
pub(super) fn pairs(tables: &[Labels]) -> Vec<Label> {
    let mut found = Vec::new();
    for (code, label) in tables.iter().copied().flatten() {
        let pair = Label { code, label };
        if !found.contains(&pair) {
            found.push(pair);
        }
    }
    found
}

fn label_pairs(source: Source) -> Vec<Label> {
    match source {
        Source::Label(_, labels) | Source::LabelOr(_, labels, _) | Source::LabelExceptIn(_, _, labels) => {
            pairs(&[labels])
        }
        Source::Rule(rule) => pairs(rule.labels),
        _ => Vec::new(),
    }
}

/// The texts that a source may give, except blank.
fn texts(source: Source, labels: &[Label]) -> Vec<&'static str> {
    let fixed = match source {
        Source::Text(text) | Source::LabelOr(_, _, text) => text,
        _ => "",
    };
    let mut texts: Vec<&'static str> = labels.iter().map(|pair| pair.label).chain([fixed]).collect();
    texts.retain(|text| !text.is_empty());
    texts
}

fn gives(source: Source) -> Gives {
    match source {
        Source::Text(_) | Source::Label(..) | Source::LabelOr(..) | Source::LabelExceptIn(..) => Gives::Texts,
        Source::Flag(_) | Source::IsOneOf(..) => Gives::Flag,
        Source::WholeNumber(_) => Gives::Number,
        Source::Attachment(_) | Source::AttachmentIf(..) => Gives::Url,
        Source::Gps(..) => Gives::Coordinate,
        Source::Id(_) => Gives::Id,
        Source::Rule(rule) => rule.gives,
        Source::Sent(_)
        | Source::SentOrNull(_)
        | Source::FilledOrNull(_)
        | Source::FirstFilled(_)
        | Source::Given(_)
        | Source::SentUnder(..) => Gives::Answer,
    }
}
