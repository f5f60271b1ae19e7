//! Plots as SVG: lines and bars, nothing else.

use std::fmt::Write as _;

use crate::stats::number;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 220.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;
/// Colours that stay apart for the colour-blind (Okabe and Ito).
const COLOURS: [&str; 8] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c8c00",
];

/// How values lie on an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Evenly, from 0.
    Linear,
    /// By their logarithms.
    Log,
}

/// An axis.
#[derive(Debug, Clone)]
pub struct Axis {
    /// What and in which unit.
    pub label: &'static str,
    /// How.
    pub scale: Scale,
}

/// A line.
#[derive(Debug, Clone)]
pub struct Series {
    /// For the legend.
    pub name: String,
    /// In order.
    pub points: Vec<(f64, f64)>,
}

/// A plot of lines.
#[derive(Debug, Clone)]
pub struct Lines {
    /// Above it.
    pub title: String,
    /// To the right.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
    /// The lines.
    pub series: Vec<Series>,
    /// Whether each point is marked.
    pub marks: bool,
}

/// A plot of horizontal bars in groups, their lengths logarithmic.
#[derive(Debug, Clone)]
pub struct Bars {
    /// Above it.
    pub title: String,
    /// What the lengths are.
    pub label: &'static str,
    /// A name and its bars, each with its own name.
    pub groups: Vec<(String, Vec<(String, f64)>)>,
}

/// From values to places.
struct Range {
    scale: Scale,
    from: f64,
    to: f64,
    start: f64,
    end: f64,
}

impl Range {
    fn of(scale: Scale, values: impl Iterator<Item = f64>, start: f64, end: f64) -> Self {
        let usable = |v: &f64| v.is_finite() && (scale == Scale::Linear || *v > 0.0);
        let (mut from, mut to) = values
            .filter(usable)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| {
                (a.min(v), b.max(v))
            });
        if from > to {
            (from, to) = (1.0, 10.0);
        }
        match scale {
            Scale::Linear => (from, to) = (0.0, if to > 0.0 { to * 1.05 } else { 1.0 }),
            Scale::Log => {
                from = 10f64.powf(from.log10().floor());
                to = 10f64.powf((to * 1.001).log10().ceil());
            }
        }
        Self {
            scale,
            from,
            to,
            start,
            end,
        }
    }

    fn place(&self, value: f64) -> f64 {
        let position = match self.scale {
            Scale::Linear => (value - self.from) / (self.to - self.from),
            Scale::Log => {
                let value = value.max(self.from);
                (value / self.from).ln() / (self.to / self.from).ln()
            }
        };
        self.start + position * (self.end - self.start)
    }

    fn ticks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Log => std::iter::successors(Some(self.from), |v| Some(v * 10.0))
                .take_while(|v| *v <= self.to * 1.001)
                .collect(),
            Scale::Linear => {
                let step = step(self.to / 5.0);
                std::iter::successors(Some(0.0), |v| Some(v + step))
                    .take_while(|v| *v <= self.to)
                    .collect()
            }
        }
    }
}

/// 1, 2 or 5 times a power of ten, at least this.
fn step(least: f64) -> f64 {
    let power = 10f64.powf(least.max(1e-9).log10().floor());
    let nice = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    nice.into_iter()
        .find(|s| *s >= least * 0.999)
        .unwrap_or(power * 10.0)
}

fn tick_label(value: f64) -> String {
    match value {
        v if v >= 1_000_000.0 => format!("{}M", v / 1_000_000.0),
        v if v >= 1000.0 => format!("{}k", v / 1000.0),
        v => format!("{}", (v * 1000.0).round() / 1000.0),
    }
}

/// A drawing being made.
struct Drawing(String);

impl Drawing {
    fn new(title: &str, height: f64) -> Self {
        let mut drawing = Self(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
        ));
        drawing.text(LEFT, 22.0, "start", title);
        drawing
    }

    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = self.0.write_fmt(element);
        self.0.push('\n');
    }

    fn text(&mut self, x: f64, y: f64, anchor: &str, text: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        self.add(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
        ));
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: &str) {
        self.add(format_args!(
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\"/>",
            from.0, from.1, to.0, to.1
        ));
    }

    fn box_of(&mut self, x: f64, y: f64, (width, height): (f64, f64), colour: &str) {
        self.add(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{colour}\"/>"
        ));
    }

    fn legend(&mut self, index: usize, colour: &str, name: &str) {
        let y = TOP + 10.0 + 18.0 * number(index);
        let x = WIDTH - RIGHT + 15.0;
        self.box_of(x, y - 9.0, (10.0, 10.0), colour);
        self.text(x + 16.0, y, "start", name);
    }

    fn end(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }
}

fn colour(index: usize) -> &'static str {
    COLOURS
        .get(index % COLOURS.len())
        .copied()
        .unwrap_or("black")
}

impl Lines {
    /// The plot.
    #[must_use]
    pub fn svg(&self) -> String {
        let all = || self.series.iter().flat_map(|s| &s.points);
        let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        let x = Range::of(self.x.scale, all().map(|p| p.0), LEFT, right);
        let y = Range::of(self.y.scale, all().map(|p| p.1), bottom, TOP);
        let mut drawing = Drawing::new(&self.title, HEIGHT);
        for tick in x.ticks() {
            drawing.line((x.place(tick), TOP), (x.place(tick), bottom), "#dddddd");
            drawing.text(x.place(tick), bottom + 16.0, "middle", &tick_label(tick));
        }
        for tick in y.ticks() {
            drawing.line((LEFT, y.place(tick)), (right, y.place(tick)), "#dddddd");
            drawing.text(LEFT - 6.0, y.place(tick) + 4.0, "end", &tick_label(tick));
        }
        drawing.text(right, bottom + 36.0, "end", self.x.label);
        drawing.text(LEFT, TOP - 4.0, "start", self.y.label);
        for (index, series) in self.series.iter().enumerate() {
            self.draw(&mut drawing, (&x, &y), index, series);
        }
        drawing.end()
    }

    fn draw(&self, drawing: &mut Drawing, (x, y): (&Range, &Range), index: usize, series: &Series) {
        let places = series.points.iter().map(|p| (x.place(p.0), y.place(p.1)));
        let places: Vec<(f64, f64)> = places.collect();
        let path: Vec<String> = places
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let colour = colour(index);
        drawing.add(format_args!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.8\"/>",
            path.join(" ")
        ));
        for (x, y) in places.iter().filter(|_| self.marks) {
            drawing.box_of(x - 2.5, y - 2.5, (5.0, 5.0), colour);
        }
        drawing.legend(index, colour, &series.name);
    }
}

const BAR: f64 = 14.0;
const GAP: f64 = 12.0;

impl Bars {
    /// The plot.
    #[must_use]
    pub fn svg(&self) -> String {
        let left = LEFT + 110.0;
        let values = self.groups.iter().flat_map(|(_, bars)| bars);
        let x = Range::of(Scale::Log, values.map(|b| b.1), left, WIDTH - RIGHT);
        let heights = self.groups.iter();
        let height: f64 = heights
            .map(|(_, bars)| GAP + BAR * number(bars.len()))
            .sum();
        let bottom = TOP + height;
        let mut drawing = Drawing::new(&self.title, bottom + BOTTOM);
        for tick in x.ticks() {
            drawing.line((x.place(tick), TOP), (x.place(tick), bottom), "#dddddd");
            drawing.text(x.place(tick), bottom + 16.0, "middle", &tick_label(tick));
        }
        drawing.text(WIDTH - RIGHT, bottom + 36.0, "end", self.label);
        let mut top = TOP + GAP / 2.0;
        for (name, bars) in &self.groups {
            let middle = top + BAR * number(bars.len()) / 2.0;
            drawing.text(left - 8.0, middle + 4.0, "end", name);
            for (index, (_, value)) in bars.iter().enumerate() {
                let y = top + BAR * number(index);
                let end = x.place(*value);
                drawing.box_of(left, y, (end - left, BAR - 2.0), colour(index));
                drawing.text(end + 4.0, y + 10.0, "start", &format!("{value:.1}"));
            }
            top += BAR * number(bars.len()) + GAP;
        }
        let longest = self.groups.iter().max_by_key(|(_, bars)| bars.len());
        let names = longest.into_iter().flat_map(|(_, bars)| bars);
        for (index, (name, _)) in names.enumerate() {
            drawing.legend(index, colour(index), name);
        }
        drawing.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decade_is_as_wide_as_another() {
        let range = Range::of(Scale::Log, [2.0, 900.0].into_iter(), 0.0, 300.0);
        assert_eq!(range.ticks().len(), 4);
        for (value, place) in [(1.0, 0.0), (10.0, 100.0), (100.0, 200.0), (1000.0, 300.0)] {
            assert!((range.place(value) - place).abs() < 0.01, "{value}");
        }
    }

    #[test]
    fn nothing_to_plot_is_a_plot_without_lines() {
        let axis = |label| Axis {
            label,
            scale: Scale::Linear,
        };
        let empty = Lines {
            title: "a < b".to_owned(),
            x: axis("x"),
            y: axis("y"),
            series: Vec::new(),
            marks: false,
        };
        let svg = empty.svg();
        assert!(svg.contains("a &lt; b") && svg.ends_with("</svg>\n"));
        assert!(!svg.contains("NaN"));
    }
}
