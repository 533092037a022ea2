import Model

/// How snapshots without a name are named: `snapshots.pattern`.
///
/// `%d` is the next free number; `{{ creation_date }}` is the time, with `|date:'LAYOUT'` in the form of a layout that
/// shows the reference time Mon Jan 2 15:04:05 2006 (as LXD's templates take it). Nothing else is looked at: a pattern
/// can read no file and run nothing.
struct SnapshotPattern: Sendable, Hashable {
    static let standard = "snap%d"

    private enum Part: Sendable, Hashable {
        case text(String)
        case number
        case date(layout: String)
    }

    private var parts: [Part] = []
    private let pattern: String

    init(_ pattern: String) throws {
        self.pattern = pattern
        guard pattern.utf8.count <= 200 else {
            throw EngineError(.invalidArgument, "snapshots.pattern is longer than 200 bytes")
        }
        var rest = Substring(pattern)
        while !rest.isEmpty {
            if rest.hasPrefix("{{") {
                guard let end = rest.firstRange(of: "}}") else { throw refusal }
                try add(expression: rest[rest.index(rest.startIndex, offsetBy: 2)..<end.lowerBound])
                rest = rest[end.upperBound...]
            } else if rest.hasPrefix("%d") {
                parts.append(.number)
                rest = rest.dropFirst(2)
            } else {
                guard !rest.hasPrefix("{%"), !rest.hasPrefix("{#") else { throw refusal }
                add(text: rest.removeFirst())
            }
        }
        guard parts.filter({ $0 == .number }).count <= 1 else { throw refusal }
        _ = try name(taken: [], at: 0)
    }

    /// The name of a snapshot that is made at `date` (seconds since 1970), none of `taken`.
    func name(taken: [String], at date: Double) throws -> String {
        func text(_ number: Int) -> String {
            parts.map { part in
                switch part {
                case .text(let text): text
                case .number: String(number)
                case .date(let layout): DateLayout.text(layout, date)
                }
            }.joined()
        }
        var number = 0
        let hasNumber = parts.contains(.number)
        var name = text(number)
        if hasNumber, let index = parts.firstIndex(of: .number) {
            // The number after the highest that was used, as LXD: names do not come back after a removal.
            let before = SnapshotPattern(parts: Array(parts[..<index])).plain(date)
            let after = SnapshotPattern(parts: Array(parts[(index + 1)...])).plain(date)
            let used = taken.compactMap { name -> Int? in
                guard name.hasPrefix(before), name.hasSuffix(after) else { return nil }
                return Int(name.dropFirst(before.count).dropLast(after.count))
            }
            number = (used.max() ?? -1) + 1
            name = text(number)
        }
        var attempt = 0
        let base = name
        while taken.contains(name) {
            name = "\(base)-\(attempt)"
            attempt += 1
        }
        try Names.checkSnapshot(name)
        return name
    }

    private init(parts: [Part]) {
        self.parts = parts
        pattern = ""
    }

    private func plain(_ date: Double) -> String {
        parts.map { part in
            switch part {
            case .text(let text): text
            case .number: ""
            case .date(let layout): DateLayout.text(layout, date)
            }
        }.joined()
    }

    private mutating func add(text: Character) {
        if case .text(let before)? = parts.last {
            parts[parts.count - 1] = .text(before + String(text))
        } else {
            parts.append(.text(String(text)))
        }
    }

    private mutating func add(expression: Substring) throws {
        let words = expression.split(separator: "|", maxSplits: 1).map(Self.trimmed)
        guard words.first == "creation_date" else { throw refusal }
        guard words.count == 2 else {
            parts.append(.date(layout: "2006-01-02T15:04:05Z07:00"))
            return
        }
        guard words[1].hasPrefix("date:") else { throw refusal }
        let quoted = Self.trimmed(words[1].dropFirst(5))
        guard quoted.count >= 2, let mark = quoted.first, mark == "'" || mark == "\"", quoted.last == mark else {
            throw refusal
        }
        parts.append(.date(layout: String(quoted.dropFirst().dropLast())))
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text
        while text.first == " " { text.removeFirst() }
        while text.last == " " { text.removeLast() }
        return text
    }

    private var refusal: EngineError {
        EngineError(
            .invalidArgument, "snapshots.pattern=\(Names.quoted(pattern)) is not understood",
            hint: "text with %d, {{ creation_date }} or {{ creation_date|date:'2006-01-02_15-04' }}")
    }
}

/// Times in the form of a layout that shows the reference time (Go's package time), always in UTC.
enum DateLayout {
    private static let months = [
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
        "December",
    ]
    private static let days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]

    static func text(_ layout: String, _ seconds: Double) -> String {
        let time = CivilTime(seconds)
        func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let hour12 = (time.hour + 11) % 12 + 1
        let month = months[time.month - 1]
        let day = days[time.weekday]
        // Longer ones before those that they begin with.
        let fields: [(String, String)] = [
            ("2006", String(time.year)), ("January", month), ("Jan", String(month.prefix(3))), ("Monday", day),
            ("Mon", String(day.prefix(3))), ("Z07:00", "Z"), ("-07:00", "+00:00"), ("-0700", "+0000"), ("MST", "UTC"),
            ("01", two(time.month)), ("02", two(time.day)), ("03", two(hour12)), ("04", two(time.minute)),
            ("05", two(time.second)), ("06", two(time.year % 100)), ("15", two(time.hour)),
            ("PM", time.hour < 12 ? "AM" : "PM"), ("1", String(time.month)), ("2", String(time.day)),
            ("3", String(hour12)), ("4", String(time.minute)), ("5", String(time.second)),
        ]
        var rest = Substring(layout)
        var out = ""
        while !rest.isEmpty {
            if let field = fields.first(where: { rest.hasPrefix($0.0) }) {
                out += field.1
                rest = rest.dropFirst(field.0.count)
            } else {
                out.append(rest.removeFirst())
            }
        }
        return out
    }
}
