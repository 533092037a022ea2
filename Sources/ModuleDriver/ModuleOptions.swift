import DriverKit
import Model

/// The `module.` keys of a plan.
struct ModuleOptions: Sendable, Hashable {
    var fuel: UInt64?
    /// Milliseconds.
    var timeout: Int64?
    var cpuTime: Int64?

    init(_ plan: LaunchPlan) throws {
        fuel = try Self.read(plan, "module.fuel") { UInt64($0) }
        timeout = try Self.read(plan, "module.timeout", Self.milliseconds)
        cpuTime = try Self.read(plan, "module.cpu_time", Self.milliseconds)
    }

    private static func milliseconds(_ text: String) -> Int64? {
        Double(text).flatMap { $0 > 0 && $0 < 1e9 ? Int64($0 * 1000) : nil }
    }

    private static func read<Value>(_ plan: LaunchPlan, _ key: String, _ parse: (String) -> Value?) throws -> Value? {
        guard let text = plan.config[key] else { return nil }
        guard let value = parse(text) else {
            throw EngineError(.invalidArgument, "\(Names.quoted(text)) is not a value of \(key)")
        }
        return value
    }
}
