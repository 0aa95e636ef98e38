//! Who imports whom: the modules of `src/`, and what each path in them leads to.
//!
//! A path through a re-export leads to the file that the name comes from. Code that only tests see is left out.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::iter::Peekable;
use std::vec::IntoIter;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use super::Text;

/// Deeper than any chain of re-exports, and less than for ever.
const RE_EXPORTS: usize = 8;

/// `queue`, `sqlite`, `writer`; none is the crate itself.
pub(super) type ModulePath = Vec<String>;

/// The modules of the crate.
pub(super) struct Modules(BTreeMap<ModulePath, Module>);

/// A file of `src/`.
#[derive(Default)]
struct Module {
    file: String,
    paths: Vec<Path>,
    /// What its `use`s call the things that they name.
    names: HashMap<String, Vec<String>>,
    /// Modules below it that only tests see.
    for_tests: HashSet<String>,
}

/// A path as it is written, with the modules around it made explicit.
struct Path {
    line: usize,
    /// The module that it is read in: the file's, or one written inside the file.
    scope: ModulePath,
    segments: Vec<String>,
    /// Whether a `use` names it, and it is not written out where it is needed.
    of_use: bool,
}

/// An import, resolved.
pub(super) struct Import<'a> {
    pub(super) from: &'a ModulePath,
    pub(super) to: Target,
    /// `src/queue.rs:12`.
    pub(super) place: String,
}

/// Where an import leads.
pub(super) enum Target {
    /// A module of this crate.
    Module(ModulePath),
    /// A path into another crate: `std::fs`, `sqlx::query`.
    Foreign(String),
}

impl Modules {
    /// Reads `src/`.
    pub(super) fn read(texts: &[Text]) -> Self {
        let mut modules = BTreeMap::new();
        for text in texts {
            let Some(path) = text.path.strip_prefix("src/").and_then(|path| path.strip_suffix(".rs")) else {
                continue;
            };
            let path: ModulePath = match path {
                // The binary is no module of the library.
                "main" => continue,
                "lib" => Vec::new(),
                path => path.split('/').map(str::to_owned).collect(),
            };
            let tokens: TokenStream =
                text.content.parse().unwrap_or_else(|error| panic!("{}: {error}", text.path));
            let mut module = Module { file: text.path.clone(), ..Module::default() };
            module.read(tokens, &path);
            modules.insert(path, module);
        }
        let for_tests: Vec<ModulePath> = modules
            .iter()
            .flat_map(|(path, module)| module.for_tests.iter().map(move |name| below(path, name)))
            .collect();
        modules.retain(|path, _| !for_tests.iter().any(|hidden| path.starts_with(hidden)));
        Self(modules)
    }

    /// Every import of every module.
    pub(super) fn imports(&self) -> Vec<Import<'_>> {
        let mut imports = Vec::new();
        for (from, module) in &self.0 {
            for path in &module.paths {
                let Some(to) = self.target(module, path) else { continue };
                imports.push(Import { from, to, place: format!("{}:{}", module.file, path.line) });
            }
        }
        imports
    }

    fn target(&self, module: &Module, path: &Path) -> Option<Target> {
        let first = path.segments[0].as_str();
        let whole = match first {
            "crate" | "super" | "self" => Some(absolute(path)),
            // The `use` itself counts for a foreign name, and not once more each place where the name stands.
            first if !path.of_use && module.names.contains_key(first) => {
                let named = self.whole(&path.scope, &module.names[first])?;
                Some(named.into_iter().chain(path.segments[1..].iter().cloned()).collect())
            }
            _ => self.whole(&path.scope, &path.segments),
        };
        match whole {
            Some(whole) => Some(Target::Module(self.resolve(&whole, 0)?)),
            None => Some(Target::Foreign(path.segments.join("::"))),
        }
    }

    /// What a `use` in a module calls, from the crate's root on; `None` for another crate's.
    fn whole(&self, scope: &[String], named: &[String]) -> Option<Vec<String>> {
        match named[0].as_str() {
            "crate" => Some(named[1..].to_vec()),
            first if self.0.contains_key(&below(scope, first)) => Some([scope, named].concat()),
            _ => None,
        }
    }

    /// The module in which the last name of a path is defined.
    fn resolve(&self, path: &[String], re_exports: usize) -> Option<ModulePath> {
        let mut module = Vec::new();
        for (index, segment) in path.iter().enumerate() {
            let next = below(&module, segment);
            if self.0.contains_key(&next) {
                module = next;
                continue;
            }
            let Some(named) = self.0.get(&module).and_then(|module| module.names.get(segment)) else {
                return Some(module);
            };
            // Another crate's, by way of this module, is no module of this one.
            let named = self.whole(&module, named)?;
            let through = named.into_iter().chain(path[index + 1..].iter().cloned()).collect::<Vec<_>>();
            return if re_exports < RE_EXPORTS { self.resolve(&through, re_exports + 1) } else { None };
        }
        Some(module)
    }
}

fn below(module: &[String], name: &str) -> ModulePath {
    module.iter().cloned().chain([name.to_owned()]).collect()
}

/// A path from the crate's root on.
fn absolute(path: &Path) -> Vec<String> {
    let mut whole = path.scope.clone();
    for segment in &path.segments {
        match segment.as_str() {
            "crate" => whole.clear(),
            "super" => drop(whole.pop()),
            "self" => {}
            name => whole.push(name.to_owned()),
        }
    }
    whole
}

impl Module {
    fn read(&mut self, tokens: TokenStream, scope: &[String]) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        let mut tokens = tokens.into_iter().peekable();
        while let Some(token) = tokens.next() {
            match token {
                TokenTree::Punct(sign) if sign.as_char() == '#' => self.attribute(&mut tokens),
                TokenTree::Group(group) => self.read(group.stream(), scope),
                TokenTree::Ident(word) if word == "use" => self.use_tree(&mut tokens, scope),
                TokenTree::Ident(word) if word == "mod" => self.inline_module(&mut tokens, scope),
                TokenTree::Ident(word) => {
                    let segments = path(word.to_string(), &mut tokens);
                    if segments.len() > 1 {
                        let line = word.span().start().line;
                        self.paths.push(Path { line, scope: scope.to_vec(), segments, of_use: false });
                    }
                }
                _ => {}
            }
        }
    }

    /// Passes over an attribute and, where only tests see it, over the item behind it.
    fn attribute(&mut self, tokens: &mut Peekable<IntoIter<TokenTree>>) {
        let Some(TokenTree::Group(attribute)) = tokens.next_if(|token| matches!(token, TokenTree::Group(_)))
        else {
            return;
        };
        if !only_for_tests(&attribute) {
            return;
        }
        while let Some(token) = tokens.next() {
            match token {
                TokenTree::Ident(word) if word == "mod" => {
                    self.for_tests.extend(tokens.peek().map(ToString::to_string));
                }
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => return,
                TokenTree::Punct(sign) if sign.as_char() == ';' => return,
                _ => {}
            }
        }
    }

    /// `mod name { … }`: the paths inside are read from there.
    fn inline_module(&mut self, tokens: &mut Peekable<IntoIter<TokenTree>>, scope: &[String]) {
        let Some(name) = tokens.next() else { return };
        if let Some(TokenTree::Group(body)) = tokens.next_if(|token| matches!(token, TokenTree::Group(_))) {
            self.read(body.stream(), &below(scope, &name.to_string()));
        }
    }

    fn use_tree(&mut self, tokens: &mut Peekable<IntoIter<TokenTree>>, scope: &[String]) {
        // `+ use<'a>`, of a type.
        if tokens.peek().is_some_and(|token| token.to_string() == "<") {
            return;
        }
        let is_end = |token: &TokenTree| matches!(token, TokenTree::Punct(sign) if sign.as_char() == ';');
        let mut tree = Vec::new();
        while let Some(token) = tokens.next_if(|token| !is_end(token)) {
            tree.push(token);
        }
        self.branches(&tree, &[], scope);
    }

    /// Each path of a list in a `use`.
    fn branches(&mut self, tree: &[TokenTree], before: &[String], scope: &[String]) {
        let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(sign) if sign.as_char() == ',');
        for branch in tree.split(is_comma).filter(|branch| !branch.is_empty()) {
            let line = branch[0].span().start().line;
            let mut segments = before.to_vec();
            let mut alias = None;
            let mut tokens = branch.iter();
            while let Some(token) = tokens.next() {
                match token {
                    TokenTree::Ident(word) if word == "as" => alias = tokens.next().map(ToString::to_string),
                    TokenTree::Ident(word) => segments.push(word.to_string()),
                    TokenTree::Group(list) => {
                        self.branches(&list.stream().into_iter().collect::<Vec<_>>(), &segments, scope);
                        segments.clear();
                    }
                    _ => {}
                }
            }
            // `{self}` names what stands before it.
            if segments.len() > 1 && segments.last().is_some_and(|last| last == "self") {
                segments.pop();
            }
            if !segments.is_empty() {
                self.name(Path { line, scope: scope.to_vec(), segments, of_use: true }, alias);
            }
        }
    }

    fn name(&mut self, path: Path, alias: Option<String>) {
        let named = match path.segments[0].as_str() {
            "crate" | "super" | "self" => ["crate".to_owned()].into_iter().chain(absolute(&path)).collect(),
            _ => path.segments.clone(),
        };
        let name = alias.or_else(|| path.segments.last().cloned());
        self.names.extend(name.map(|name| (name, named)));
        self.paths.push(path);
    }
}

fn only_for_tests(attribute: &Group) -> bool {
    let text = attribute.stream().to_string();
    text.starts_with("cfg") && text.split(|letter: char| !letter.is_alphanumeric()).any(|word| word == "test")
}

/// `first::second::third`, as far as it goes.
fn path(first: String, tokens: &mut Peekable<IntoIter<TokenTree>>) -> Vec<String> {
    let mut segments = vec![first];
    let is_colon = |token: &TokenTree| matches!(token, TokenTree::Punct(sign) if sign.as_char() == ':');
    while tokens.next_if(is_colon).is_some() {
        let Some(TokenTree::Ident(word)) = tokens
            .next_if(is_colon)
            .and_then(|_| tokens.next_if(|token| matches!(token, TokenTree::Ident(_))))
        else {
            break;
        };
        segments.push(word.to_string());
    }
    segments
}
