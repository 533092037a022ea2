/// How answers are shown: `--format`.
public enum OutputFormat: String, Sendable, CaseIterable {
    case table
    case json
    case yaml
    case csv
}

/// Comma-separated values (RFC 4180), one line a row and no heading, as LXD's clients write them.
public enum CSV {
    public static func lines(_ table: Table) -> [String] {
        table.rows.map { row in row.map { field($0.text) }.joined(separator: ",") }
    }

    /// One field, quoted where it must be.
    public static func field(_ text: String) -> String {
        guard text.contains(where: { $0 == "," || $0 == "\"" || $0 == "\n" || $0 == "\r" || $0 == "\r\n" }) else {
            return text
        }
        var out = "\""
        for scalar in text.unicodeScalars {
            if scalar == "\"" { out += "\"" }
            out.unicodeScalars.append(scalar)
        }
        return out + "\""
    }
}
