//! Where a message quotes a value: the whole of it, a piece, one word, or a phone number in another notation.

use std::collections::{HashMap, HashSet};

use super::folded::Folded;
use super::vocabulary;

/// A value of fewer characters is found only as a word: "Al" is a name, but not in "already".
const SHORT: usize = 5;
/// Characters from which on a piece of a value, wherever it is cut, is no chance.
const PIECE: usize = 16;
/// Characters from which on the beginning of a value, with the mark of a cut after it, is no chance.
const BEGINNING: usize = 3;
/// Letters or digits from which on one word of a longer value is looked for (`docs/service.md`, section 7).
const WORD: usize = 5;
/// From this many digits on only the digits are compared: phone numbers are written in many ways.
const PHONE_DIGITS: usize = 7;
/// The last digits of a phone number, which are the same with and without country code.
const LAST_DIGITS: usize = 9;
/// `…` reads as three dots once it is folded.
const CUT: [char; 3] = ['.', '.', '.'];

/// From a position to before another.
pub(super) type Place = (usize, usize);

/// A message that is searched for values.
pub(super) struct Quotes<'t> {
    text: &'t [char],
    /// Where each character stands.
    firsts: HashMap<char, Vec<usize>>,
    pieces: HashMap<&'t [char], Vec<usize>>,
    words: HashMap<&'t [char], Vec<Place>>,
    /// For each position, how many characters before it belong to words that are nobody's but the payload's.
    telling: Vec<usize>,
}

impl<'t> Quotes<'t> {
    /// A search in `message`, in which the words of `names`, in lower case, tell nothing.
    pub(super) fn new(message: &'t Folded, names: &HashSet<String>) -> Self {
        let text = message.chars.as_slice();
        let (mut firsts, mut pieces) = (HashMap::<_, Vec<_>>::new(), HashMap::<_, Vec<_>>::new());
        let mut words = HashMap::<_, Vec<_>>::new();
        for (at, c) in text.iter().enumerate() {
            firsts.entry(*c).or_default().push(at);
        }
        for (at, piece) in text.windows(PIECE).enumerate() {
            pieces.entry(piece).or_default().push(at);
        }
        let mut telling = vec![0; text.len() + 1];
        for (start, end) in words_of(text) {
            words.entry(&text[start..end]).or_default().push((start, end));
            let word: String = text[start..end].iter().collect();
            let tells = !names.contains(&word) && !vocabulary::is_vendors(&word);
            telling[start + 1..=end].fill(usize::from(tells));
        }
        for at in 1..telling.len() {
            telling[at] += telling[at - 1];
        }
        Self { text, firsts, pieces, words, telling }
    }

    /// Where the message quotes the value, or a piece of it that is more than a word.
    pub(super) fn passages(&self, value: &[char]) -> Vec<Place> {
        let mut places = self.whole(value);
        places.extend(self.cut(value));
        places.extend(self.pieces(value));
        places
    }

    /// Where it quotes one word of a value of several.
    pub(super) fn words(&self, value: &[char]) -> Vec<Place> {
        let long = words_of(value).filter(|(start, end)| end - start >= WORD && end - start < value.len());
        let quoted = long.filter_map(|(start, end)| self.words.get(&value[start..end]));
        quoted.flatten().copied().filter(|place| self.tells(*place)).collect()
    }

    /// Where it quotes a phone number of the value, with or without country code.
    pub(super) fn phones(&self, value: &[char]) -> Vec<Place> {
        let numbers = value.split(|c| !c.is_ascii_digit() && !is_separator(*c));
        let pieces = numbers.flat_map(|number| std::iter::once(number).chain(number.split(|c| *c == ' ')));
        let mut places = Vec::new();
        for piece in pieces {
            let digits: Vec<char> = piece.iter().copied().filter(char::is_ascii_digit).collect();
            if digits.len() >= PHONE_DIGITS {
                let last = &digits[digits.len().saturating_sub(LAST_DIGITS)..];
                places.extend(self.phone(last));
            }
        }
        places
    }

    /// Whether a place holds more than the vendor's own words and the names of fields.
    pub(super) fn tells(&self, (start, end): Place) -> bool {
        self.telling[end] > self.telling[start]
    }

    /// Where the whole of it stands.
    pub(super) fn whole(&self, value: &[char]) -> Vec<Place> {
        let Some(first) = value.first() else { return Vec::new() };
        let is_number = value.iter().all(char::is_ascii_digit);
        let as_word = (value.len() < SHORT && !is_number) || value.len() < 4;
        // One letter or digit is an answer's code, and would hide half of every message.
        let tells_nothing = value.len() == 1 && first.is_ascii();
        let starts = self.firsts.get(first).filter(|_| !tells_nothing).into_iter().flatten();
        starts
            .map(|&start| (start, start + value.len()))
            .filter(|&(start, end)| self.text.get(start..end) == Some(value))
            .filter(|&place| !as_word || self.is_word(place))
            .collect()
    }

    /// The beginning of the value, where the message goes on with three dots or ends.
    fn cut(&self, value: &[char]) -> Vec<Place> {
        let text = self.text;
        let dots = text.windows(CUT.len()).enumerate().filter(|(_, window)| *window == CUT).map(|(at, _)| at);
        let ends =
            dots.chain([text.len()]).map(|end| if end > 0 && text[end - 1] == ' ' { end - 1 } else { end });
        ends.filter_map(|end| {
            let lengths = (BEGINNING..=value.len().min(end)).rev();
            let mut starts = lengths.map(|length| end - length);
            let begins_here = |start: usize| {
                text[start..end] == value[..end - start] && (start == 0 || !text[start - 1].is_alphanumeric())
            };
            starts.find(|start| begins_here(*start)).map(|start| (start, end))
        })
        .collect()
    }

    /// Runs of characters that stand in the value too.
    fn pieces(&self, value: &[char]) -> Vec<Place> {
        let shared = value.windows(PIECE).filter_map(|piece| self.pieces.get(piece)).flatten();
        let mut starts: Vec<usize> = shared.copied().collect();
        starts.sort_unstable();
        let mut runs: Vec<Place> = Vec::new();
        for start in starts {
            match runs.last_mut() {
                Some((_, end)) if *end >= start => *end = start + PIECE,
                _ => runs.push((start, start + PIECE)),
            }
        }
        let is_space = |at: usize| self.text[at] == ' ';
        let trimmed = |(start, end): Place| {
            (start + usize::from(is_space(start)), end - usize::from(is_space(end - 1)))
        };
        runs.into_iter().map(trimmed).collect()
    }

    /// Places of `digits`, however they are separated, with the digits right before them.
    fn phone(&self, digits: &[char]) -> Vec<Place> {
        let text = self.text;
        let ends_at = |start: usize| {
            let mut wanted = digits.iter().peekable();
            for (at, c) in text.iter().enumerate().skip(start) {
                match wanted.peek() {
                    Some(&&digit) if digit == *c => drop(wanted.next()),
                    Some(_) if is_separator(*c) => {}
                    Some(_) => return None,
                    None => return Some(at),
                }
            }
            wanted.peek().is_none().then_some(text.len())
        };
        let starts = digits.first().and_then(|first| self.firsts.get(first)).into_iter().flatten();
        let places = starts.filter_map(|&start| Some((start, ends_at(start)?)));
        places
            .map(|(start, end)| {
                let code = text[..start].iter().rev().take_while(|c| c.is_ascii_digit()).count();
                (start - code, end)
            })
            .collect()
    }

    pub(super) fn is_word(&self, (start, end): Place) -> bool {
        let joins =
            |at: Option<usize>| at.and_then(|at| self.text.get(at)).is_some_and(|c| c.is_alphanumeric());
        !joins(start.checked_sub(1)) && !joins(Some(end))
    }
}

/// Runs of letters and digits.
pub(super) fn words_of(text: &[char]) -> impl Iterator<Item = Place> + '_ {
    let mut start = 0;
    text.split(|c| !c.is_alphanumeric()).filter_map(move |word| {
        let place = (start, start + word.len());
        start = place.1 + 1;
        (!word.is_empty()).then_some(place)
    })
}

fn is_separator(c: char) -> bool {
    matches!(c, ' ' | '-' | '.' | '/' | '(' | ')' | '+')
}
