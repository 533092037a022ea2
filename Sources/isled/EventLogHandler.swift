import CHost
import Engine
import Glibc
import Logging
import Model

/// Hands what is logged to the event bus, for `isle monitor --type logging` and `lxc monitor`.
struct EventLogHandler: LogHandler {
    let events: EventBus
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var context = metadata.merging(event.metadata ?? [:]) { $1 }.mapValues { Metadata.string("\($0)") }
        context["level"] = .string(Self.name(event.level))
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        events.publish(
            EngineEvent(
                topic: .logging, timestamp: Double(time.tv_sec) + Double(time.tv_nsec) / 1e9,
                action: "\(event.message)", source: "/1.0", context: context))
    }

    /// As LXD's clients know them.
    private static func name(_ level: Logger.Level) -> String {
        switch level {
        case .trace, .debug: "debug"
        case .info, .notice: "info"
        case .warning: "warning"
        case .error, .critical: "error"
        }
    }
}
