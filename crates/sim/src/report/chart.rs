//! One line chart as an SVG fragment: plotters draws axes and lines, CSS classes colour them.
//!
//! plotters writes colours as numbers. Each role (ink, grid, reference, line 0, line 1 ...) is
//! drawn in a colour of its own that is then replaced by a class, so that the page decides what
//! it looks like, in light and in dark. Marks are added here, each with a hover title.

use std::fmt::Write as _;

use maud::{Markup, PreEscaped, html};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::{Axis, Ruler, Scale};

/// The look of what a dashboard shows, which is no policy: a dotted line without marks.
pub(super) const DASHBOARD_SLOT: usize = usize::MAX;

/// Colours of the peers. Colour 0 is the library's own and is not shared.
const COLOURS: usize = 7;
/// When the colours are used up they come again with another dash.
const DASHES: usize = 4;
const MARKS: usize = 6;

/// Size in SVG units. plotters places everything on whole units, so a unit is half a pixel.
pub(super) const WIDTH: u32 = 1000;
pub(super) const HEIGHT: u32 = 740;
/// On a phone (350 pixels for the whole width) a letter is still 10 pixels high.
const LABEL_SIZE: f64 = 38.0;
/// Size of the note on a reference line, next to the labels.
const NOTE_SCALE: f64 = 0.88;
/// How far along the reference line of a share its note begins.
const SHARE_NOTE_PLACE: f64 = 0.3;
const LINE_WIDTH: u32 = 5;
const STRONG_WIDTH: u32 = 9;
const MARK_RADIUS: f64 = 9.0;

const INK: RGBColor = RGBColor(1, 1, 1);
const GRID: RGBColor = RGBColor(1, 1, 2);
const REFERENCE: RGBColor = RGBColor(1, 1, 3);
const REFERENCE_TEXT: RGBColor = RGBColor(1, 1, 4);
/// Lines use (2, colour, dash).
const LINE_RED: u8 = 2;

/// One point of a line.
#[derive(Clone, Debug)]
pub(super) struct Point {
    /// Place on the x axis.
    pub(super) x: f64,
    /// Place on the y axis.
    pub(super) y: f64,
    /// What hovering says.
    pub(super) note: String,
}

/// One policy.
#[derive(Clone, Debug)]
pub(super) struct Stroke {
    /// Name, for the text alternative.
    pub(super) label: String,
    /// Its look.
    pub(super) slot: usize,
    /// Drawn more strongly.
    pub(super) strong: bool,
    /// In order of load.
    pub(super) points: Vec<Point>,
}

/// A chart.
#[derive(Clone, Debug)]
pub(super) struct Chart {
    /// What it shows, in a few words.
    pub(super) title: String,
    /// Horizontal.
    pub(super) x: Axis,
    /// Vertical.
    pub(super) y: Axis,
    /// One per policy.
    pub(super) strokes: Vec<Stroke>,
    /// A horizontal line with its name, such as a target.
    pub(super) reference: Option<(f64, String)>,
}

/// The CSS classes of a look.
pub(super) fn classes(slot: usize) -> String {
    if slot == DASHBOARD_SLOT {
        return "busy".to_owned();
    }
    let (colour, dash) = match slot.checked_sub(1) {
        None => (0, 0),
        Some(peer) => (1 + peer % COLOURS, peer / COLOURS % DASHES),
    };
    format!("p{slot} c{colour} d{dash}")
}

/// The SVG, or a sentence when there is nothing to draw.
pub(super) fn svg(chart: &Chart) -> Markup {
    if chart.strokes.iter().all(|stroke| stroke.points.is_empty()) {
        return html! { p.empty { "No run has a figure to show here." } };
    }
    match draw(chart) {
        Ok(svg) => PreEscaped(svg),
        Err(error) => html! { p.empty { "This plot could not be drawn: " (error.to_string()) } },
    }
}

type Failure = DrawingAreaErrorKind<std::io::Error>;
type Root<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Area<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<Ruler, Ruler>>;

fn draw(chart: &Chart) -> Result<String, Failure> {
    let points = || chart.strokes.iter().flat_map(|stroke| &stroke.points);
    let reference = chart.reference.iter().map(|(value, _)| *value);
    let x = Ruler::new(chart.x.scale, points().map(|point| point.x));
    let y = Ruler::new(chart.y.scale, points().map(|point| point.y).chain(reference));
    let mut svg = String::new();
    let mut marks = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT)).into_drawing_area();
        draw_titles(&root, chart)?;
        let mut area = ChartBuilder::on(&root)
            .margin_top(72)
            .margin_right(36)
            .margin_bottom(58)
            .x_label_area_size(60)
            .y_label_area_size(132)
            .build_cartesian_2d(x, y)?;
        area.configure_mesh()
            .disable_x_mesh()
            .bold_line_style(GRID.stroke_width(2))
            .light_line_style(TRANSPARENT)
            .axis_style(GRID.stroke_width(2))
            .label_style(("sans-serif", LABEL_SIZE).into_font().color(&INK))
            .x_label_formatter(&|place| chart.x.scale.label(*place))
            .y_label_formatter(&|place| chart.y.scale.label(*place))
            .draw()?;
        if let Some((value, name)) = &chart.reference {
            draw_reference(&root, &mut area, chart.y.scale, (*value, name))?;
        }
        // The strongest line is drawn last, on top of the others.
        let mut order: Vec<&Stroke> = chart.strokes.iter().collect();
        order.sort_by_key(|stroke| stroke.strong);
        for stroke in order {
            marks += &draw_stroke(&mut area, chart, stroke)?;
        }
        root.present()?;
    }
    Ok(themed(&svg, chart, &marks))
}

/// The y title stands above its axis, where it reads without turning the head.
fn draw_titles(root: &Root<'_>, chart: &Chart) -> Result<(), Failure> {
    let style = ("sans-serif", LABEL_SIZE).into_font().color(&INK);
    root.draw(&Text::new(chart.y.title.clone(), (8, 8), style.clone()))?;
    let style = style.pos(Pos::new(HPos::Right, VPos::Bottom));
    let corner = (WIDTH.cast_signed() - 24, HEIGHT.cast_signed() - 10);
    root.draw(&Text::new(chart.x.title.clone(), corner, style))
}

fn draw_reference<'a>(
    root: &Root<'a>,
    area: &mut Area<'a>,
    scale: Scale,
    (value, name): (f64, &str),
) -> Result<(), Failure> {
    let level = scale.place(value);
    let ends = area.x_range();
    let line = [(ends.start, level), (ends.end, level)];
    area.draw_series(LineSeries::new(line, REFERENCE.stroke_width(3)))?;
    let style = ("sans-serif", LABEL_SIZE * NOTE_SCALE).into_font().color(&REFERENCE_TEXT);
    // Good service hugs the top of a share and the bottom of a wait: write on the other side, and
    // for a share away from the left end, where utilization climbs.
    let (side, gap, along) = match scale {
        Scale::Percent => (VPos::Top, 8, SHARE_NOTE_PLACE),
        _ => (VPos::Bottom, -4, 0.0),
    };
    let start = ends.start + (ends.end - ends.start) * along;
    let (left, top) = area.backend_coord(&(start, level));
    let style = style.pos(Pos::new(HPos::Left, side));
    root.draw(&Text::new(name.to_owned(), (left + 12, top + gap), style))
}

/// Draws the line and returns its marks.
fn draw_stroke(area: &mut Area<'_>, chart: &Chart, stroke: &Stroke) -> Result<String, Failure> {
    let spot = |p: &Point| (chart.x.scale.place(p.x), chart.y.scale.place(p.y));
    let width = if stroke.strong { STRONG_WIDTH } else { LINE_WIDTH };
    let style = line_colour(stroke.slot).stroke_width(width);
    area.draw_series(LineSeries::new(stroke.points.iter().map(spot), style))?;
    let mut marks = String::new();
    for point in &stroke.points {
        let (left, top) = area.backend_coord(&spot(point));
        marks += &mark(stroke, left, top, &point.note).into_string();
    }
    Ok(marks)
}

/// Swaps plotters' colours for classes, its fixed size for the page's, and adds the marks.
fn themed(svg: &str, chart: &Chart, marks: &str) -> String {
    let opening = svg.find("viewBox").unwrap_or(0);
    let head = html! { (alternative(chart)) }.into_string();
    let mut out = format!("<svg class=\"chart\" role=\"img\" aria-label=\"{head}\" ");
    out.push_str(&svg[opening..]);
    let roles = [(INK, "ink"), (GRID, "grid"), (REFERENCE, "ref"), (REFERENCE_TEXT, "reftext")];
    for (colour, class) in roles {
        recolour(&mut out, colour, class);
    }
    for stroke in &chart.strokes {
        let class = format!("line {}", classes(stroke.slot));
        recolour(&mut out, line_colour(stroke.slot), &class);
    }
    if let Some(end) = out.rfind("</svg>") {
        out.insert_str(end, marks);
    }
    out
}

fn recolour(svg: &mut String, colour: RGBColor, class: &str) {
    let RGBColor(red, green, blue) = colour;
    let code = format!("#{red:02X}{green:02X}{blue:02X}");
    for paint in ["fill", "stroke"] {
        let old = format!(" {paint}=\"{code}\"");
        *svg = svg.replace(&old, &format!(" class=\"{class}\""));
    }
}

fn line_colour(slot: usize) -> RGBColor {
    RGBColor(LINE_RED, (slot / 256) as u8, (slot % 256) as u8)
}

fn mark(stroke: &Stroke, left: i32, top: i32, note: &str) -> Markup {
    let size = if stroke.strong { MARK_RADIUS * 1.35 } else { MARK_RADIUS };
    let path = mark_path(stroke.slot, f64::from(left), f64::from(top), size);
    html! { path class={ "mark " (classes(stroke.slot)) } d=(path) { title { (note) } } }
}

/// The outline of a look's mark around a place: the third way, beside colour and dash, to tell
/// two lines apart.
pub(super) fn mark_path(slot: usize, x: f64, y: f64, r: f64) -> String {
    let polygon = |corners: &[(f64, f64)]| {
        let mut path = String::new();
        for (index, (dx, dy)) in corners.iter().enumerate() {
            let verb = if index == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{verb}{:.1} {:.1}", x + dx * r, y + dy * r);
        }
        path + "Z"
    };
    match slot % MARKS {
        0 => format!(
            "M{:.1} {y:.1}a{r:.1} {r:.1} 0 1 0 {:.1} 0a{r:.1} {r:.1} 0 1 0 {:.1} 0Z",
            x - r,
            2.0 * r,
            -2.0 * r
        ),
        1 => polygon(&[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)]),
        2 => polygon(&[(0.0, -1.2), (1.1, 0.8), (-1.1, 0.8)]),
        3 => polygon(&[(0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)]),
        4 => polygon(&[(-1.1, -0.8), (1.1, -0.8), (0.0, 1.2)]),
        _ => polygon(&[
            (-0.35, -1.1),
            (0.35, -1.1),
            (0.35, -0.35),
            (1.1, -0.35),
            (1.1, 0.35),
            (0.35, 0.35),
            (0.35, 1.1),
            (-0.35, 1.1),
            (-0.35, 0.35),
            (-1.1, 0.35),
            (-1.1, -0.35),
            (-0.35, -0.35),
        ]),
    }
}

/// The chart in words: each line's first and last point.
fn alternative(chart: &Chart) -> String {
    let mut words = format!("{}: {} against {}.", chart.title, chart.y.title, chart.x.title);
    for stroke in &chart.strokes {
        if let (Some(first), Some(last)) = (stroke.points.first(), stroke.points.last()) {
            let _ = write!(words, " {}", first.note);
            if stroke.points.len() > 1 {
                let _ = write!(words, "; {}", last.note);
            }
            words.push('.');
        } else {
            let _ = write!(words, " {}: no figure.", stroke.label);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Any finite points can be drawn, and no raw colour of plotters is left.
        #[test]
        fn any_points_are_drawn(
            points in prop::collection::vec((any::<f64>(), any::<f64>()), 1..8), slot in 0usize..40,
        ) {
            let points: Vec<Point> = points
                .into_iter()
                .filter(|(x, y)| x.is_finite() && y.is_finite())
                .map(|(x, y)| Point { x, y, note: "n<1>".to_owned() })
                .collect();
            prop_assume!(!points.is_empty());
            let axis = |scale| Axis { title: "t".to_owned(), scale };
            let stroke = Stroke { label: "l".to_owned(), slot, strong: slot == 0, points };
            let chart = Chart { title: "c".to_owned(), x: axis(Scale::Percent),
                y: axis(Scale::LogSeconds), strokes: vec![stroke], reference: None };
            let svg = svg(&chart).into_string();
            prop_assert!(svg.contains("n&lt;1&gt;") && !svg.contains("=\"#"), "{svg}");
        }
    }
}
