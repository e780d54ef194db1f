// The words of the widget, from words/<language>.json. A test sees to it that all languages have the same.

const LANGUAGES = ["en", "de"];
const FROM_RIGHT = new Set(["ar", "fa", "he", "ur", "ps", "sd", "yi", "dv", "ug"]);

/** The first of the wished languages that there are words for. */
export function choose(wished) {
  const short = wished.filter(Boolean).map((name) => name.toLowerCase().split(/[-_]/)[0]);
  return short.find((name) => LANGUAGES.includes(name)) || "en";
}

export function direction(language) {
  return FROM_RIGHT.has((language || "").toLowerCase().split(/[-_]/)[0]) ? "rtl" : "ltr";
}

async function load(language, base) {
  const answer = await fetch(new URL(`words/${language}.json`, base), { credentials: "omit" });
  if (!answer.ok) throw new Error(`No words in ${language}`);
  return answer.json();
}

export class Words {
  /** base: the address of the widget's files. */
  static async of(language, base) {
    return new Words(language, await load(language, base));
  }

  constructor(language, texts) {
    this.language = language;
    this.texts = texts;
    this.plural = new Intl.PluralRules(language);
    this.clock = new Intl.DateTimeFormat(language, { timeStyle: "short" });
    this.day = new Intl.DateTimeFormat(language, { weekday: "long", day: "numeric", month: "long" });
    this.date = new Intl.DateTimeFormat(language, { dateStyle: "medium" });
    this.near = new Intl.RelativeTimeFormat(language, { numeric: "auto" });
  }

  /** A text with {gaps} filled; with `n`, the form for that number ("waiting.one", "waiting.other"). */
  say(key, facts = {}) {
    const text = this.texts["n" in facts ? `${key}.${this.plural.select(facts.n)}` : key] ?? this.texts[`${key}.other`] ?? this.texts[key];
    return (text ?? key).replace(/\{(\w+)\}/g, (whole, name) => facts[name] ?? whole);
  }

  has(key) {
    return key in this.texts;
  }

  time(moment) {
    return this.clock.format(new Date(moment));
  }

  /** "today", "yesterday", or the day's name and date. */
  dayOf(moment) {
    const day = (one) => new Date(one.getFullYear(), one.getMonth(), one.getDate());
    const away = Math.round((day(new Date(moment)) - day(new Date())) / 86_400_000);
    const text = away > -2 && away < 2 ? this.near.format(away, "day") : this.day.format(new Date(moment));
    return text[0].toLocaleUpperCase(this.language) + text.slice(1);
  }

  /** When something is promised: the time, with the day unless it is today. */
  promise(moment) {
    const today = new Date(moment).toDateString() === new Date().toDateString();
    return today ? this.time(moment) : `${this.day.format(new Date(moment))}, ${this.time(moment)}`;
  }

  /** A date of an article, such as 2026-11-03. */
  dateOf(moment) {
    return this.date.format(new Date(moment));
  }

  size(bytes) {
    const big = bytes >= 1_048_576;
    const unit = big ? "megabyte" : "kilobyte";
    const format = { style: "unit", unit, maximumFractionDigits: big ? 1 : 0 };
    return new Intl.NumberFormat(this.language, format).format(big ? bytes / 1_048_576 : Math.max(1, bytes / 1024));
  }
}
