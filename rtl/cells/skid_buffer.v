// SPDX-License-Identifier: Apache-2.0
//
// skid_buffer: one-entry skid buffer. Data passes straight through; the entry catches the
// beat that arrives in the cycle in which the consumer stalls.
//
// Handshake   in_ready is a register (no path out_ready -> in_ready). out_valid and out_data
//             follow the input combinationally while the entry is empty.
// Latency     0 cycles. Throughput 1 transfer per cycle.
// Clearing    the entry is overwritten with zero when it leaves.
// blank       while high, what waits in the entry is replaced by data & KEEP. Tie to 0 where no
//             secret passes.

`resetall
`default_nettype none

module skid_buffer #(
    parameter         W    = 8,         // payload width in bits, >= 1
    parameter [W-1:0] KEEP = {W{1'b1}}  // bits that survive blank
) (
    input  wire         clk,
    input  wire         rst,
    input  wire         blank,

    input  wire         in_valid,
    output wire         in_ready,
    input  wire [W-1:0] in_data,

    output wire         out_valid,
    input  wire         out_ready,
    output wire [W-1:0] out_data
);

    reg         full;
    reg [W-1:0] store;

    assign in_ready  = !full;
    assign out_valid = full || in_valid;
    assign out_data  = full ? store : in_data;

    always @(posedge clk) begin
        if (rst) begin
            full  <= 1'b0;
            store <= {W{1'b0}};
        end else if (out_ready) begin
            full  <= 1'b0;
            store <= {W{1'b0}};
        end else if (in_valid && !full) begin
            full  <= 1'b1;
            store <= blank ? in_data & KEEP : in_data;
        end else if (blank) begin
            store <= store & KEEP;
        end
    end

endmodule

`resetall
