//! `strftime_now`: the date that some templates put into the system prompt.

use std::time::{SystemTime, UNIX_EPOCH};

/// What time a rendering takes it to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Clock {
    /// The system's time, in UTC.
    #[default]
    System,
    /// Seconds since 1970-01-01 00:00 UTC, for renderings that can be repeated.
    Fixed(i64),
}

const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

impl Clock {
    pub(super) fn unix_seconds(self) -> i64 {
        match self {
            Self::Fixed(seconds) => seconds,
            Self::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs().try_into().unwrap_or(i64::MAX)),
        }
    }
}

/// A moment of the proleptic Gregorian calendar, in UTC.
struct Moment {
    year: i64,
    /// From 0.
    month: usize,
    /// From 1.
    day: i64,
    /// From 0, in the year.
    year_day: i64,
    /// From Sunday, 0.
    week_day: usize,
    second_of_day: i64,
}

impl Moment {
    /// Counts in eras of 400 years that begin on a 1st of March, so that the leap day comes last
    /// (Hinnant, "chrono-Compatible Low-Level Date Algorithms").
    fn new(unix_seconds: i64) -> Self {
        let days = unix_seconds.div_euclid(86_400);
        let shifted = days + 719_468;
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = (month_from_march + 2) % 12;
        let march_year = year_of_era + shifted.div_euclid(146_097) * 400;
        let year = march_year + i64::from(month < 2);
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let before_march = 59 + i64::from(leap);
        Self {
            year,
            month: month as usize,
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
            year_day: if month < 2 { day_of_year - 306 } else { day_of_year + before_march },
            week_day: (days + 4).rem_euclid(7) as usize,
            second_of_day: unix_seconds.rem_euclid(86_400),
        }
    }

    fn field(&self, directive: char) -> Option<String> {
        let (hour, minute) = (self.second_of_day / 3600, self.second_of_day / 60 % 60);
        let hour12 = if hour % 12 == 0 { 12 } else { hour % 12 };
        let (month, day) = (MONTHS[self.month], DAYS[self.week_day]);
        Some(match directive {
            'Y' => format!("{:04}", self.year),
            'y' => format!("{:02}", self.year.rem_euclid(100)),
            'm' => format!("{:02}", self.month + 1),
            'd' => format!("{:02}", self.day),
            'e' => format!("{:2}", self.day),
            'j' => format!("{:03}", self.year_day + 1),
            'H' => format!("{hour:02}"),
            'I' => format!("{hour12:02}"),
            'M' => format!("{minute:02}"),
            'S' => format!("{:02}", self.second_of_day % 60),
            'p' => if hour < 12 { "AM" } else { "PM" }.to_owned(),
            'B' => month.to_owned(),
            'b' | 'h' => month[..3].to_owned(),
            'A' => day.to_owned(),
            'a' => day[..3].to_owned(),
            'w' => self.week_day.to_string(),
            'F' => format!("{:04}-{:02}-{:02}", self.year, self.month + 1, self.day),
            'T' => format!("{hour:02}:{minute:02}:{:02}", self.second_of_day % 60),
            '%' => "%".to_owned(),
            _ => return None,
        })
    }
}

/// Formats a time as C's `strftime` does in the C locale; unknown directives stay as they are,
/// and `%-d` leaves the padding out.
pub(super) fn strftime(unix_seconds: i64, format: &str) -> String {
    let moment = Moment::new(unix_seconds);
    let mut out = String::new();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let bare = chars.next_if_eq(&'-').is_some();
        let Some(directive) = chars.next() else {
            out.push('%');
            break;
        };
        match moment.field(directive) {
            Some(text) if bare => {
                let short = text.trim_start_matches(['0', ' ']);
                out.push_str(if short.is_empty() { "0" } else { short });
            }
            Some(text) => out.push_str(&text),
            None => out.extend(['%', directive]),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let format = "%Y-%m-%d %H:%M:%S %j %a %b %-d %y %I%p %q";
        for (seconds, expected) in [
            (0, "1970-01-01 00:00:00 001 Thu Jan 1 70 12AM %q"),
            (951_782_400, "2000-02-29 00:00:00 060 Tue Feb 29 00 12AM %q"),
            (1_735_689_599, "2024-12-31 23:59:59 366 Tue Dec 31 24 11PM %q"),
            (1_741_000_000, "2025-03-03 11:06:40 062 Mon Mar 3 25 11AM %q"),
            (-1, "1969-12-31 23:59:59 365 Wed Dec 31 69 11PM %q"),
        ] {
            assert_eq!(strftime(seconds, format), expected);
        }
    }
}
