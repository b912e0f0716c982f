//! Text from the network made fit for a terminal: harmless, and of a known width.
//!
//! Names and titles are any Unicode, written by anyone. Left alone they could move the cursor, turn the line around, or push
//! everything after them out of its column. Width is counted grapheme by grapheme, as most terminals do; where a terminal
//! disagrees, [`super::line`] puts the next cell back into its column.

use std::borrow::Cow;

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Code points of one grapheme that are shown. Families of emoji need 7 and vowel-pointed scripts fewer; stacks of combining marks,
/// which would paint over neighbouring lines, are cut here.
const GRAPHEME_CHARS_MAX: usize = 10;

/// What stands for the part that was cut.
const ELLIPSIS: &str = "…";

/// What carries a combining mark that has nothing to combine with.
const CARRIER: char = '◌';

/// Isolates text that runs from right to left, so that a terminal that orders by direction leaves the rest of the line alone.
const ISOLATE: (char, char) = ('\u{2068}', '\u{2069}');

/// Makes text harmless: control characters become visible, characters that only steer (direction, joining of lines, tags)
/// are dropped.
pub fn harmless(text: &str) -> Cow<'_, str> {
    if text
        .chars()
        .all(|letter| substitute(letter) == Some(letter))
    {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().filter_map(substitute).collect())
}

fn substitute(letter: char) -> Option<char> {
    match letter {
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(letter)),
        '\u{7f}' => Some('␡'),
        '\u{80}'..='\u{9f}' => Some(char::REPLACEMENT_CHARACTER),
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' => None,
        '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => None,
        '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' => None,
        _ => Some(letter),
    }
}

/// The columns that text takes in a terminal; the text is harmless already.
pub fn width(text: &str) -> usize {
    text.graphemes(true).map(UnicodeWidthStr::width).sum()
}

/// On which side the padding goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Text to the left, padding to the right.
    Left,
    /// Text to the right, as numbers stand.
    Right,
}

/// Text made harmless and exactly `columns` wide: cut with an ellipsis, or padded.
pub fn fit(text: &str, columns: usize, align: Align) -> String {
    let cut = cut(text, columns);
    let padding = " ".repeat(columns - width(&cut));
    match align {
        Align::Left => cut + &padding,
        Align::Right => padding + &cut,
    }
}

/// Text made harmless and at most `columns` wide, cut with an ellipsis.
pub fn cut(text: &str, columns: usize) -> String {
    let text = harmless(text);
    let mut out = String::new();
    // How much of `out` would stay if an ellipsis had to follow, and its width.
    let (mut kept, mut taken) = (0, 0);
    for grapheme in text.graphemes(true) {
        let grapheme = bounded(grapheme);
        let next = taken + UnicodeWidthStr::width(grapheme.as_ref());
        if next > columns {
            out.truncate(kept);
            if columns > 0 {
                out.push_str(ELLIPSIS);
            }
            break;
        }
        out.push_str(&grapheme);
        taken = next;
        if taken < columns {
            kept = out.len();
        }
    }
    isolated(out)
}

fn bounded(grapheme: &str) -> Cow<'_, str> {
    let shown = match grapheme.char_indices().nth(GRAPHEME_CHARS_MAX) {
        Some((end, _)) => &grapheme[..end],
        None => grapheme,
    };
    if UnicodeWidthStr::width(shown) == 0 {
        return Cow::Owned(format!("{CARRIER}{shown}"));
    }
    Cow::Borrowed(shown)
}

fn isolated(text: String) -> String {
    if text.chars().any(runs_from_right_to_left) {
        return format!("{}{text}{}", ISOLATE.0, ISOLATE.1);
    }
    text
}

/// The blocks that Unicode sets aside for right-to-left scripts.
fn runs_from_right_to_left(letter: char) -> bool {
    matches!(letter, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefe}' | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

/// An integer with its thousands set apart, if the text is one.
pub fn grouped(number: &str) -> Option<String> {
    let (sign, digits) = match number.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", number),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut out = String::from(sign);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cuts_by_display_width() {
        let table = [
            ("Example", 7, "Example"),
            ("Example", 6, "Examp…"),
            ("Example", 1, "…"),
            ("Example", 0, ""),
            ("漢字かな", 8, "漢字かな"),
            ("漢字かな", 7, "漢字か…"),
            ("漢字かな", 6, "漢字…"),
            ("e\u{301}te\u{301}", 3, "e\u{301}te\u{301}"),
            ("e\u{301}te\u{301}", 2, "e\u{301}…"),
            ("👩‍👩‍👧‍👦 family", 4, "👩‍👩‍👧‍👦 …"),
            ("\u{301}lone", 5, "◌\u{301}lone"),
        ];
        for (text, columns, expected) in table {
            assert_eq!(cut(text, columns), expected, "{text} in {columns}");
        }
    }

    #[test]
    fn pads_to_the_width_and_not_to_the_length() {
        assert_eq!(fit("漢字", 6, Align::Left), "漢字  ");
        assert_eq!(fit("42", 5, Align::Right), "   42");
        assert_eq!(fit("漢字かな", 6, Align::Right), " 漢字…");
    }

    #[test]
    fn what_steers_a_terminal_is_shown_or_dropped() {
        let table = [
            ("\u{1b}[2Jgone", "␛[2Jgone"),
            ("two\r\nlines\tand a tab", "two␍␊lines␉and a tab"),
            ("\u{9b}31m\u{7f}", "\u{fffd}31m␡"),
            ("abc\u{202e}fed", "abcfed"),
            ("zero\u{200b}width\u{feff}", "zerowidth"),
        ];
        for (text, expected) in table {
            assert_eq!(harmless(text), expected);
        }
    }

    #[test]
    fn right_to_left_text_is_isolated_and_stacks_of_marks_are_cut() {
        assert_eq!(cut("שלום", 10), "\u{2068}שלום\u{2069}");
        assert_eq!(width(&cut("שלום", 10)), 4);
        let stack = format!("a{}", "\u{301}".repeat(100));
        assert_eq!(cut(&stack, 10).chars().count(), GRAPHEME_CHARS_MAX);
    }

    #[test]
    fn thousands_are_set_apart() {
        let table = [
            ("0", Some("0")),
            ("999", Some("999")),
            ("1000", Some("1,000")),
            ("-1234567", Some("-1,234,567")),
            ("1.5", None),
            ("", None),
            ("-", None),
        ];
        for (number, expected) in table {
            assert_eq!(grouped(number).as_deref(), expected, "{number}");
        }
    }

    proptest! {
        #[test]
        fn any_text_fits_any_width_and_controls_nothing(text in any::<String>(), columns in 0usize..40) {
            let fitted = fit(&text, columns, Align::Left);
            prop_assert_eq!(width(&fitted), columns);
            prop_assert!(!fitted.chars().any(char::is_control));
        }
    }
}
