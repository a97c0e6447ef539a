//! Pictures of figures: panels beside each other, each with lines over one axis.

use std::fmt::Write;

const COLORS: [&str; 3] = ["#c2410c", "#1d4ed8", "#4d7c0f"];
const WIDTH: f64 = 340.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 56.0;
const BOTTOM: f64 = 42.0;

/// How the values below a panel stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// Each at its distance from zero.
    Linear,
    /// Evenly, whatever they are.
    Even,
}

/// Lines over one axis.
#[derive(Clone, Debug)]
pub struct Panel {
    /// What varies.
    pub title: String,
    /// How its values stand.
    pub axis: Axis,
    /// Those values.
    pub values: Vec<f64>,
    /// Names of the lines, each with its height at every value.
    pub lines: Vec<(&'static str, Vec<f64>)>,
}

/// An SVG picture of panels whose heights all have one unit.
pub fn svg(panels: &[Panel], unit: &str) -> String {
    let width = WIDTH * panels.len() as f64;
    let mut out = String::new();
    put(
        &mut out,
        format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {HEIGHT}\" width=\"{width}\" \
         height=\"{HEIGHT}\" font-family=\"sans-serif\" font-size=\"11\">"
        ),
    );
    put(&mut out, format_args!("<rect width=\"{width}\" height=\"{HEIGHT}\" fill=\"#fff\"/>"));
    for (number, panel) in panels.iter().enumerate() {
        put(&mut out, format_args!("<g transform=\"translate({} 0)\">", WIDTH * number as f64));
        panel.draw(unit, &mut out);
        put(&mut out, format_args!("</g>"));
    }
    put(&mut out, format_args!("</svg>"));
    out
}

impl Panel {
    fn draw(&self, unit: &str, out: &mut String) {
        let highest = self.lines.iter().flat_map(|line| &line.1).copied().fold(0.0, f64::max);
        let step = nice(highest / 4.0);
        let top = step * (highest / step).ceil().max(1.0);
        let bottom = HEIGHT - BOTTOM;
        let y = |value: f64| bottom - value / top * (bottom - TOP);
        put(
            out,
            format_args!("<text x=\"{LEFT}\" y=\"16\" font-weight=\"bold\">{}, {unit}</text>", self.title),
        );
        for (number, (name, _)) in self.lines.iter().enumerate() {
            let (x, color) = (LEFT + 140.0 * number as f64, COLORS[number % COLORS.len()]);
            put(out, format_args!("<text x=\"{x}\" y=\"36\" fill=\"{color}\">{name}</text>"));
        }
        for mark in (0..).map(|number| step * f64::from(number)).take_while(|mark| *mark <= top * 1.001) {
            let (right, at) = (WIDTH - RIGHT, y(mark));
            put(out, format_args!("<path d=\"M{LEFT} {at:.1}H{right}\" stroke=\"#ddd\"/>"));
            let (x, at) = (LEFT - 6.0, at + 4.0);
            put(out, format_args!("<text x=\"{x}\" y=\"{at:.1}\" text-anchor=\"end\">{mark}</text>"));
        }
        let mut labelled = f64::NEG_INFINITY;
        for (number, value) in self.values.iter().enumerate() {
            let x = self.x(number);
            if x - labelled < 26.0 {
                continue;
            }
            labelled = x;
            let at = bottom + 18.0;
            put(out, format_args!("<text x=\"{x:.1}\" y=\"{at}\" text-anchor=\"middle\">{value}</text>"));
        }
        for (number, (_, heights)) in self.lines.iter().enumerate() {
            let color = COLORS[number % COLORS.len()];
            let mut path = String::new();
            for (number, height) in heights.iter().enumerate() {
                let step = if number == 0 { 'M' } else { 'L' };
                let _ = write!(path, "{step}{:.1} {:.1}", self.x(number), y(*height));
            }
            put(
                out,
                format_args!("<path d=\"{path}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>"),
            );
        }
    }

    fn x(&self, number: usize) -> f64 {
        let last = match self.axis {
            Axis::Linear => self.values.iter().copied().fold(0.0, f64::max),
            Axis::Even => self.values.len().saturating_sub(1) as f64,
        };
        let value = match self.axis {
            Axis::Linear => self.values[number],
            Axis::Even => number as f64,
        };
        LEFT + value / last.max(f64::MIN_POSITIVE) * (WIDTH - LEFT - RIGHT)
    }
}

/// The smallest of 1, 2, 5, 10 and so on that is not below.
fn nice(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(1e-9).log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|digit| digit * power).into_iter().find(|step| *step >= value).unwrap_or(power)
}

fn put(out: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_lie_between_zero_and_the_highest_mark() {
        assert_eq!([0.9, 1.0, 13.0, 45.0].map(nice), [1.0, 1.0, 20.0, 50.0]);
        let panel = Panel {
            title: "frames".into(),
            axis: Axis::Linear,
            values: vec![0.0, 50.0, 100.0],
            lines: vec![("held", vec![0.0, 10.0, 20.0])],
        };
        let picture = svg(&[panel], "µs");
        let (left, right) = (LEFT, WIDTH - RIGHT);
        let middle = (left + right) / 2.0;
        let (low, high) = (HEIGHT - BOTTOM, TOP);
        let path = format!("M{left:.1} {low:.1}L{middle:.1} {:.1}L{right:.1} {high:.1}", (low + high) / 2.0);
        assert!(picture.contains(&path), "{path} in {picture}");
        assert!(picture.contains(">20</text>") && picture.contains(">100</text>"));
    }
}
