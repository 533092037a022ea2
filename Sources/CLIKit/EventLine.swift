public import WireTypes

/// An event of the daemon, for people.
public enum EventLine {
    /// Time, type, what happened and to what.
    public static func fields(_ event: JSONValue) -> [String] {
        let time = String((event["timestamp"]?.stringValue ?? "").dropFirst(11).prefix(12))
        let type = event["type"]?.stringValue ?? "?"
        let metadata = event["metadata"]
        var out = [time, type]
        switch type {
        case "lifecycle":
            out.append(metadata?["action"]?.stringValue ?? "")
            out.append(
                metadata?["name"]?.stringValue.flatMap { $0.isEmpty ? nil : $0 } ?? metadata?["source"]?.stringValue
                    ?? "")
        case "operation":
            out.append(metadata?["description"]?.stringValue ?? "")
            out.append(metadata?["status"]?.stringValue ?? "")
            if let error = metadata?["err"]?.stringValue, !error.isEmpty { out.append(error) }
        default:
            out.append(metadata?["level"]?.stringValue ?? "")
            out.append(metadata?["message"]?.stringValue ?? "")
        }
        return out
    }
}
