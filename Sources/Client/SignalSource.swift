import CHost
import Glibc
import Model

/// Signals as events of a descriptor instead of interruptions: they are blocked while this lives (signalfd(2)).
public final class SignalSource {
    private let descriptor: OwnedDescriptor
    private var previous = sigset_t()

    /// Takes over `signals` of this thread.
    public init(_ signals: [Int32]) throws(ClientError) {
        let opened = isle_cli_signals_open(signals, Int32(signals.count), &previous)
        guard opened >= 0 else {
            throw ClientError(.local, "signalfd failed: \(String(cString: strerror(-opened)))")
        }
        descriptor = OwnedDescriptor(opened)
    }

    /// Readable when a signal waits.
    public var fileDescriptor: Int32 { descriptor.raw }

    /// The next signal that waits; nil when there is none.
    public func next() -> Int32? {
        let number = isle_cli_signals_next(descriptor.raw)
        return number == 0 ? nil : number
    }

    /// Signals that come from now on have their ordinary effect again.
    deinit { isle_cli_signals_close(descriptor.take(), &previous) }
}
