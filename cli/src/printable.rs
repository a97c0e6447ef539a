//! Text from a target, made safe for a terminal.

use std::fmt::{self, Write};

/// Shows text with every character escaped that a terminal would act on: controls (ESC, CSI, line
/// breaks) and those that turn the direction of writing.
pub struct Printable<'a>(pub &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if is_active(c) {
                write!(f, "{}", c.escape_default())?;
            } else {
                f.write_char(c)?;
            }
        }
        Ok(())
    }
}

fn is_active(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_act_on_is_escaped() {
        let hostile = "a\u{1b}[2Jb\u{9b}31mc\rd\n\u{202e}e";
        assert_eq!(Printable(hostile).to_string(), r"a\u{1b}[2Jb\u{9b}31mc\rd\n\u{202e}e");
    }

    #[test]
    fn other_text_stays_as_it_is() {
        assert_eq!(Printable("/srv/naïve café/日本.js").to_string(), "/srv/naïve café/日本.js");
    }
}
