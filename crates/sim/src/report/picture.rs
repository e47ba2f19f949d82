//! How busy the GPU is and what users get, as a small SVG file for a README: its own
//! background, legend and colours.

use maud::{PreEscaped, html};

use super::curves::{self, ATTAINMENT};
use super::measures::{self, Line};
use super::{Report, chart, page};

/// Colours and looks, shared with the page.
const STYLE: &str = concat!(
    include_str!("theme.css"),
    ".paper { fill: var(--paper); }\n.title { fill: var(--ink); font-weight: 600; }\n",
    ".name { fill: var(--ink); }\ntext { font-family: system-ui, sans-serif; }\n"
);

/// Same units as the chart: half a pixel at the size a README shows.
const WIDTH: u32 = 1080;
const LEFT: u32 = 40;
const CHART_TOP: u32 = 110;
const ROW_HEIGHT: u32 = 52;
/// Legend columns; policy names with options are long.
const COLUMNS: u32 = 2;
const COLUMN_WIDTH: u32 = 490;

pub(super) fn picture(report: &Report) -> String {
    let lines = measures::lines(report);
    let class = measures::classes(report).into_iter().next().unwrap_or_default();
    // Without loads there is nothing to draw over but utilization itself.
    let curve = if measures::loads(report).is_empty() {
        curves::highway(report, &lines, &class, ATTAINMENT)
    } else {
        curves::dashboard(report, &lines, &class)
    };
    let rows = u32::try_from(lines.len()).unwrap_or(u32::MAX).div_ceil(COLUMNS);
    let legend_top = CHART_TOP + chart::HEIGHT + 40;
    let height = legend_top.saturating_add(rows.saturating_mul(ROW_HEIGHT));
    let view = format!("0 0 {WIDTH} {height}");
    let place = format!("translate({LEFT} {CHART_TOP})");
    let drawn = chart::svg(&curve).into_string();
    let sized = format!("<svg width=\"{}\" height=\"{}\" ", chart::WIDTH, chart::HEIGHT);
    let drawn = drawn.replacen("<svg ", &sized, 1);
    html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox=(view) width="540"
            height=((height / 2)) role="img" {
            style { (PreEscaped(STYLE)) }
            rect.paper width="100%" height="100%" rx="20" {}
            text.title x=(LEFT) y="66" font-size="35" {
                "How busy the GPU is, and what users get"
            }
            g transform=(place) { (PreEscaped(drawn)) }
            @for (index, line) in lines.iter().enumerate() {
                (entry(line, index as u32, legend_top))
            }
        }
    }
    .into_string()
}

fn entry(line: &Line<'_>, index: u32, top: u32) -> maud::Markup {
    let x = LEFT + index % COLUMNS * COLUMN_WIDTH;
    let y = top + index / COLUMNS * ROW_HEIGHT;
    let place = format!("translate({x} {})", y - 24);
    html! {
        g transform=(place) {
            (page::chip_lines(line))
            text.name x="98" y="26" font-size="27" { (line.label) }
        }
    }
}
