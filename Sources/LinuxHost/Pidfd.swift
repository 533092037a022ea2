import CHost
import Glibc
public import Model

/// A process that cannot be mistaken for another one that got its number later (pidfd_open(2)).
public struct Pidfd: Sendable {
    public let pid: Int32
    public let descriptor: OwnedDescriptor

    /// - Throws: `notFound` when there is no such process.
    public init(_ pid: Int32) throws {
        let result = isle_pidfd_open(pid)
        guard result >= 0 else {
            if result == -ESRCH { throw EngineError(.notFound, "there is no process \(pid)") }
            throw EngineError(.internal, "opening process \(pid): \(String(errno: -result))")
        }
        self.pid = pid
        descriptor = OwnedDescriptor(result)
    }

    /// Takes over a descriptor made elsewhere (clone3(2) with CLONE_PIDFD, SCM_RIGHTS).
    public init(_ pid: Int32, adopting descriptor: OwnedDescriptor) {
        self.pid = pid
        self.descriptor = descriptor
    }

    /// Sends a signal; false if the process has ended already.
    @discardableResult
    public func signal(_ number: Int32) throws -> Bool {
        let result = isle_pidfd_send_signal(descriptor.raw, number)
        if result == -ESRCH { return false }
        guard result == 0 else {
            throw EngineError(.internal, "sending signal \(number) to process \(pid): \(String(errno: -result))")
        }
        return true
    }

    /// Suspends until the process has ended (it may still be a zombie).
    public func ended() async throws { try await DescriptorEvents.readable(descriptor) }

    /// Reaps a child of this process that has ended: its wait(2) status, nil while it runs.
    public func reap() throws -> WaitStatus? {
        var status: Int32 = 0
        let result = isle_pidfd_reap(descriptor.raw, &status)
        guard result >= 0 else {
            throw EngineError(.internal, "reaping process \(pid): \(String(errno: -result))")
        }
        return result == 0 ? nil : WaitStatus(raw: status)
    }

    /// The start time in clock ticks since boot, field 22 of proc_pid_stat(5): with the number it names a process
    /// for as long as the host is up. Nil if there is no such process.
    public static func startTime(of pid: Int32) -> UInt64? {
        guard let bytes = try? readSmallFile("/proc/\(pid)/stat"),
            let close = bytes.lastIndex(of: UInt8(ascii: ")"))
        else { return nil }
        let fields = String(decoding: bytes[(close + 1)...], as: UTF8.self).split(separator: " ")
        return fields.count > 19 ? UInt64(fields[19]) : nil
    }
}

/// How a child ended, as wait(2) encodes it.
public struct WaitStatus: Sendable, Hashable {
    public let raw: Int32
    public init(raw: Int32) { self.raw = raw }

    /// The signal that ended it, nil if it exited.
    public var signal: Int32? { raw & 0x7f == 0 ? nil : raw & 0x7f }
    /// The exit code, or 128 plus the signal's number.
    public var code: Int32 { signal.map { 128 + $0 } ?? (raw >> 8) & 0xff }
    public var isSuccess: Bool { raw == 0 }
}
