/// What of the host is shown inside: `-v SOURCE:TARGET[:ro]` and `--dir HOST::GUEST[:ro]`.
public struct MountMapping: Sendable, Hashable {
    public enum Source: Sendable, Hashable {
        /// An absolute path of the host.
        case path(String)
        /// A volume of the default pool.
        case volume(String)
    }

    public var source: Source
    public var target: String
    public var readOnly: Bool
    /// Owners of a folder of the host are shifted, so that root inside is its root.
    public var shift = Shift.no
    /// A folder of the host that is missing is made, as Docker does for `-v`.
    public var creates = false
    /// A new volume begins with what the image has there.
    public var copies = true

    public enum Shift: String, Sendable, Hashable {
        case no = "false"
        case yes = "true"
        /// Where the file system can do it.
        case auto
    }

    /// Reads what `-v` takes. A source that begins with `/`, `./`, `../` or `~/` is a path, any other a volume's name.
    /// Relative paths begin at `directory`.
    public init(volume text: String, directory: String, home: String?) throws(UsageError) {
        let wrong = UsageError(
            "-v \(Quantity.quoted(text)) is no mount",
            hint: "write SOURCE:TARGET[:ro], as ./site:/var/www:ro or data:/var/lib/data")
        var parts = text.split(separator: ":", omittingEmptySubsequences: false)
        var readOnly = false
        if parts.count == 3 {
            for option in parts.removeLast().split(separator: ",") {
                switch option {
                case "ro": readOnly = true
                case "rw": readOnly = false
                case "nocopy": copies = false
                // SELinux labels of Docker, which mean nothing here.
                case "z", "Z": break
                default: throw wrong
                }
            }
        }
        guard parts.count == 2, !parts[0].isEmpty, parts[1].hasPrefix("/") else { throw wrong }
        self.readOnly = readOnly
        target = String(parts[1])
        source =
            if let path = Self.path(parts[0], directory: directory, home: home) { .path(path) } else {
                .volume(String(parts[0]))
            }
        if case .path = source { (shift, creates) = (.auto, true) }
    }

    /// Reads what `--dir` takes, as wasmtime has it: `HOST::GUEST[:ro]`, or one path that is the same on both sides.
    public init(directoryGrant text: String, directory: String, home: String?) throws(UsageError) {
        var rest = Substring(text)
        readOnly = rest.hasSuffix(":ro")
        if readOnly { rest = rest.dropLast(3) }
        let halves = rest.split(separator: ":", omittingEmptySubsequences: false)
        guard let first = halves.first, !first.isEmpty,
            halves.count == 1 || halves.count == 3 && halves[1].isEmpty && !halves[2].isEmpty
        else {
            throw UsageError(
                "--dir \(Quantity.quoted(text)) is no folder", hint: "write HOST::GUEST[:ro], as ./data::/data:ro")
        }
        source = .path(Self.path(first, directory: directory, home: home) ?? Self.joined(directory, first))
        target = String(halves.count == 3 ? halves[2] : first)
        // A module knows no users and works in the folder as its owner.
        shift = .yes
    }

    private static func path(_ text: Substring, directory: String, home: String?) -> String? {
        if text.hasPrefix("/") { return String(text) }
        if text == "~" || text.hasPrefix("~/"), let home { return home + text.dropFirst() }
        if text == "." || text == ".." || text.hasPrefix("./") || text.hasPrefix("../") {
            return joined(directory, text)
        }
        return nil
    }

    /// `relative` below `directory`, steps taken out.
    static func joined(_ directory: String, _ relative: some StringProtocol) -> String {
        var parts = relative.hasPrefix("/") ? [] : directory.split(separator: "/").map(String.init)
        for part in relative.split(separator: "/") {
            switch part {
            case ".": break
            case "..": _ = parts.popLast()
            default: parts.append(String(part))
            }
        }
        return "/" + parts.joined(separator: "/")
    }

    /// The `disk` device of LXD that does it.
    public var device: [String: String] {
        var device = ["type": "disk", "path": target]
        switch source {
        case .path(let path): device["source"] = path
        case .volume(let name):
            device["pool"] = "default"
            device["source"] = name
            device["create"] = "true"
        }
        if readOnly { device["readonly"] = "true" }
        if shift != .no { device["shift"] = shift.rawValue }
        if creates { device["create"] = "true" }
        if !copies { device["copy"] = "false" }
        return device
    }
}
