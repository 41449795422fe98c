// SPDX-License-Identifier: Apache-2.0
//
// fault_arb: brings the fault reports of one direction into a row, one per cycle.
//
// now_*       is never delayed (registered straight through).
// later_*     two sources with valid/ready that wait while something goes before them;
//             later0 before later1.
// out_*       one-cycle pulse with the report; zero while out_valid is low.

`resetall
`default_nettype none

module fault_arb #(
    parameter W = 8  // width of a report in bits
) (
    input  wire         clk,
    input  wire         rst,

    input  wire         now_valid,
    input  wire [W-1:0] now_info,

    input  wire         later0_valid,
    output wire         later0_ready,
    input  wire [W-1:0] later0_info,

    input  wire         later1_valid,
    output wire         later1_ready,
    input  wire [W-1:0] later1_info,

    output reg          out_valid,
    output reg  [W-1:0] out_info
);

    assign later0_ready = !now_valid;
    assign later1_ready = !now_valid && !later0_valid;

    always @(posedge clk) begin
        if (rst) begin
            out_valid <= 1'b0;
            out_info  <= {W{1'b0}};
        end else begin
            out_valid <= now_valid || later0_valid || later1_valid;
            out_info  <= now_valid ? now_info :
                         later0_valid ? later0_info :
                         later1_valid ? later1_info : {W{1'b0}};
        end
    end

endmodule

`resetall
