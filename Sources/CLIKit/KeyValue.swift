/// `KEY=VALUE` lists of the command line.
public enum KeyValue {
    /// Splits at the first `=`.
    public static func pair(_ text: String, option: String) throws(UsageError) -> (key: String, value: String) {
        guard let index = text.firstIndex(of: "="), index > text.startIndex else {
            throw UsageError("\(option) \(Quantity.quoted(text)) is not KEY=VALUE")
        }
        return (String(text[..<index]), String(text[text.index(after: index)...]))
    }

    /// Environment settings in order: `NAME=value`, or `NAME` alone for the value that this process has of it;
    /// a name without a value here is left out, as Docker does.
    public static func environment(
        _ settings: [String], inherited: (String) -> String?, option: String = "-e"
    ) throws(UsageError) -> [(name: String, value: String)] {
        var out: [(String, String)] = []
        for setting in settings {
            if setting.contains("=") {
                out.append(try pair(setting, option: option))
            } else if setting.isEmpty {
                throw UsageError("\(option) is empty", hint: "write NAME=value")
            } else if let value = inherited(setting) {
                out.append((setting, value))
            }
        }
        return out
    }

    /// The settings in a file of `--env-file`: one a line, blank lines and those that begin with `#` left out.
    public static func environmentFile(_ text: String) -> [String] {
        text.split(whereSeparator: { $0 == "\n" || $0 == "\r\n" }).compactMap { line in
            let bare = line.drop { $0 == " " || $0 == "\t" }
            return bare.isEmpty || bare.hasPrefix("#") ? nil : String(bare)
        }
    }

    /// A device of LXD: `NAME,key=value,…`, the type among the keys.
    public static func device(_ text: String) throws(UsageError) -> (name: String, settings: [String: String]) {
        var parts = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        let name = parts.removeFirst()
        guard !name.isEmpty, !name.contains("="), !parts.isEmpty else {
            throw UsageError(
                "--device \(Quantity.quoted(text)) is no device", hint: "write NAME,type=disk,source=/srv,path=/srv")
        }
        var settings: [String: String] = [:]
        for part in parts {
            let (key, value) = try pair(part, option: "--device")
            settings[key] = value
        }
        return (name, settings)
    }
}
