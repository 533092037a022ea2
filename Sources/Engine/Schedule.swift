import Model

/// When something is done again and again: cron(8)'s five fields (minute, hour, day of the month, month, day of the
/// week), or one of `@hourly`, `@daily`, `@midnight`, `@weekly`, `@monthly`, `@annually`, `@yearly`; several of either
/// kind joined by `, `. Times are UTC.
struct Schedule: Sendable, Hashable {
    private struct Rule: Sendable, Hashable {
        var fields: [Set<Int>]
        /// cron's old rule: when both days are bounded, either of them is enough.
        var eitherDay: Bool
    }

    private static let bounds = [0...59, 0...23, 1...31, 1...12, 0...7]
    private static let aliases = [
        "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
        "@monthly": "0 0 1 * *", "@annually": "0 0 1 1 *", "@yearly": "0 0 1 1 *",
    ]
    private static let names = [
        [], [], [], ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
        ["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
    ]
    private var rules: [Rule] = []

    init(_ text: String) throws {
        let refusal = EngineError(
            .invalidArgument, "\(Names.quoted(text)) is not a schedule",
            hint: "as '0 6 * * *' (minute, hour, day, month, weekday) or @hourly, @daily, @weekly, @monthly")
        // A comma and a space part schedules; inside a field there is no space.
        for part in text.split(separator: ",").reduce(
            into: [String](),
            { parts, piece in
                if let last = parts.indices.last, !piece.hasPrefix(" ") {
                    parts[last] += "," + piece
                } else {
                    parts.append(String(piece))
                }
            })
        {
            let words = part.split(separator: " ").map(String.init)
            let expression = words.count == 1 ? Self.aliases[words[0]] ?? "" : words.joined(separator: " ")
            let fields = expression.split(separator: " ").map(String.init)
            guard fields.count == 5 else { throw refusal }
            var sets: [Set<Int>] = []
            for (index, field) in fields.enumerated() {
                guard let set = Self.values(field, index) else { throw refusal }
                sets.append(set)
            }
            if sets[4].contains(7) { sets[4].insert(0) }
            rules.append(Rule(fields: sets, eitherDay: fields[2] != "*" && fields[4] != "*"))
        }
        guard !rules.isEmpty else { throw refusal }
    }

    /// Whether the minute that `date` (seconds since 1970) lies in is one of the schedule.
    func includes(_ date: Double) -> Bool {
        let time = CivilTime(date)
        return rules.contains { rule in
            guard rule.fields[0].contains(time.minute), rule.fields[1].contains(time.hour),
                rule.fields[3].contains(time.month)
            else { return false }
            let (day, weekday) = (rule.fields[2].contains(time.day), rule.fields[4].contains(time.weekday))
            return rule.eitherDay ? day || weekday : day && weekday
        }
    }

    /// `*`, `5`, `1-5`, `*/10`, `1-30/2`, `1,3,mon`.
    private static func values(_ field: String, _ index: Int) -> Set<Int>? {
        let bounds = bounds[index]
        func number(_ text: Substring) -> Int? {
            if let name = names[index].firstIndex(of: text.lowercased()) { return name + (index == 3 ? 1 : 0) }
            return Int(text).flatMap { bounds.contains($0) ? $0 : nil }
        }
        var values: Set<Int> = []
        for item in field.split(separator: ",", omittingEmptySubsequences: false) {
            let parts = item.split(separator: "/", omittingEmptySubsequences: false)
            guard (1...2).contains(parts.count) else { return nil }
            var step = 1
            if parts.count == 2 {
                guard let value = Int(parts[1]), (1...60).contains(value) else { return nil }
                step = value
            }
            let range: ClosedRange<Int>
            if parts[0] == "*" {
                range = bounds
            } else {
                let ends = parts[0].split(separator: "-", omittingEmptySubsequences: false).map(number)
                guard (1...2).contains(ends.count), let first = ends[0], let last = ends[ends.count - 1], first <= last
                else { return nil }
                range = first...(ends.count == 1 && parts.count == 2 ? bounds.upperBound : last)
            }
            values.formUnion(stride(from: range.lowerBound, through: range.upperBound, by: step))
        }
        return values
    }
}
