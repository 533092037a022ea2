import CLIKit
import WireTypes

/// `volumes` of a service.
struct MountReader {
    let service: String
    let directory: String
    let home: String?
    let volumes: [String: Stack.Volume]

    /// A device, or for a filesystem in memory what `--tmpfs` takes.
    func read(_ value: JSONValue) throws(StackError) -> (device: [String: String]?, tmpfs: String?) {
        if let text = value.stringValue {
            guard text.contains(":") else {
                throw StackError(
                    "service '\(service)': the volume '\(text)' has no name",
                    hint: "name it under 'volumes': data:\(text)")
            }
            do {
                var device = try MountMapping(volume: text, directory: directory, home: home).device
                if device["pool"] != nil { device["source"] = try named(device["source"] ?? "") }
                return (device, nil)
            } catch let error as StackError {
                throw error
            } catch {
                throw StackError("service '\(service)': \(error)")
            }
        }
        var fields = try Fields("service '\(service)', volumes", value)
        guard let type = try fields.text("type"), let target = try fields.text("target") else {
            throw StackError("service '\(service)': a volume has no type or no target")
        }
        let source = try fields.text("source")
        var device = ["type": "disk", "path": target]
        if try fields.flag("read_only") { device["readonly"] = "true" }
        var tmpfs = try Fields("service '\(service)', tmpfs", fields.take("tmpfs"))
        let (size, mode) = (try tmpfs.text("size"), try tmpfs.text("mode"))
        for key in ["bind", "volume", "consistency"] { _ = fields.take(key) }
        try fields.finish()
        switch type {
        case "tmpfs":
            let words = [size.map { "size=\($0)" }, mode.map { "mode=\($0)" }].compactMap { $0 }
            return (nil, target + (words.isEmpty ? "" : ":" + words.joined(separator: ",")))
        case "bind":
            guard let source else { throw StackError("service '\(service)': a bind has no source") }
            device["source"] = Stack.absolute(
                source.hasPrefix("~/") ? (home ?? "") + source.dropFirst() : source, directory)
        case "volume":
            guard let source else { throw StackError("service '\(service)': a volume has no source") }
            device["pool"] = "default"
            device["source"] = try named(source)
            device["create"] = "true"
        default: throw StackError("service '\(service)': volumes of type '\(type)' are not offered")
        }
        return (device, nil)
    }

    private func named(_ name: String) throws(StackError) -> String {
        guard let volume = volumes[name] else {
            throw StackError("service '\(service)' uses the volume '\(name)', which 'volumes' does not have")
        }
        return volume.name
    }
}

/// Files of environment variables: `NAME=value` lines, `#` comments, `export`, quotes.
public enum EnvironmentFile {
    public static func parse(_ text: String) -> [(name: String, value: String)] {
        var out: [(name: String, value: String)] = []
        for line in text.split(whereSeparator: { $0 == "\n" || $0 == "\r\n" }) {
            var rest = line.drop { $0 == " " || $0 == "\t" }
            if rest.hasPrefix("#") || rest.isEmpty { continue }
            if rest.hasPrefix("export ") { rest = rest.dropFirst(7) }
            guard let equals = rest.firstIndex(of: "=") else { continue }
            let name = rest[..<equals].filter { $0 != " " }
            var value = rest[rest.index(after: equals)...].drop { $0 == " " }
            if let quote = value.first, quote == "\"" || quote == "'", let end = value.dropFirst().firstIndex(of: quote)
            {
                value = value[value.index(after: value.startIndex)..<end]
            } else if let comment = value.range(ofComment: ()) {
                value = value[..<comment]
            }
            while value.last == " " || value.last == "\t" { value = value.dropLast() }
            out.append((String(name), String(value)))
        }
        return out
    }
}

extension Substring {
    /// Where a comment behind a value begins: a `#` after a blank.
    fileprivate func range(ofComment: Void) -> Index? {
        var previous: Character = "x"
        for index in indices {
            if self[index] == "#", previous == " " { return index }
            previous = self[index]
        }
        return nil
    }
}
