import CHost

/// The three pipes between the shim and a process: the shim's ends and the child's.
struct Streams {
    /// -1 if standard input is /dev/null.
    private(set) var input: Int32 = -1
    let output: Int32
    let error: Int32
    let childInput: Int32
    let childOutput: Int32
    let childError: Int32

    init(openStdin: Bool) throws(ShimFailure) {
        let out = try Pipe()
        let err: Pipe
        do throws(ShimFailure) {
            err = try Pipe()
        } catch {
            isle_close(out.read)
            isle_close(out.write)
            throw error
        }
        output = out.read
        childOutput = out.write
        error = err.read
        childError = err.write
        if openStdin {
            let pipe: Pipe
            do throws(ShimFailure) {
                pipe = try Pipe()
            } catch {
                for end in [out.read, out.write, err.read, err.write] { isle_close(end) }
                throw error
            }
            input = pipe.write
            childInput = pipe.read
        } else {
            childInput = isle_open_null()
        }
    }

    func closeChildEnds() {
        for end in [childInput, childOutput, childError] where end >= 0 { isle_close(end) }
    }

    func closeOwnEnds() {
        for end in [input, output, error] where end >= 0 { isle_close(end) }
    }
}
