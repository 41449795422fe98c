// SPDX-License-Identifier: Apache-2.0
//
// window_check: assertion for simulation and proof; empty for synthesis. Nothing reaches the
// sums of a slot but lines of bursts that were accepted in the slot's present window.
//
// A slot's serial number counts its changes of state, so it stands for one window at most. A
// burst takes the number when it is accepted; its beats must find the same number when they
// enter the hash and when they leave it.
//
// inc, slot   a burst of this slot is accepted. start, txn follow in the same cycle or later,
//             before the next inc: the burst takes this entry (a split WRAP takes two).
// lh_*        a beat of entry lh_txn enters the hash of lh_slot.
// Fails       with $error and $finish.
//
// SEC_CM: WINDOW.OWNED - a beat that comes when its window is over stops the simulation.

`resetall
`default_nettype none

module window_check #(
    parameter SLOTS   = 16,  // tensor slots
    parameter SLOT_W  = 4,   // width of a slot number in bits
    parameter TXNS    = 8,   // outstanding bursts
    parameter LATENCY = 6    // cycles from a beat's entry into the hash to its sum
) (
    input  wire                    clk,
    input  wire                    rst,
    input  wire                    enable,     // outside READY nothing is added

    input  wire                    change,     // the state of change_slot changes
    input  wire [SLOT_W-1:0]       change_slot,

    input  wire                    inc,
    input  wire [SLOT_W-1:0]       slot,
    input  wire                    start,
    input  wire [$clog2(TXNS)-1:0] txn,
    input  wire                    lh_valid,
    input  wire [SLOT_W-1:0]       lh_slot,
    input  wire [$clog2(TXNS)-1:0] lh_txn
);

`ifndef SYNTHESIS
    reg [31:0]        serial [0:SLOTS-1];
    reg [31:0]        burst  [0:TXNS-1];      // serial number at which each entry was accepted
    reg [31:0]        accepted;               // that of the burst accepted last
    reg [LATENCY-1:0] held;                   // a beat is in this stage of the hash
    reg [31:0]        held_serial [0:LATENCY-1];
    reg [SLOT_W-1:0]  held_slot   [0:LATENCY-1];

    wire late = lh_valid && (burst[lh_txn] != serial[lh_slot]);
    wire left = held[LATENCY-1] && (held_serial[LATENCY-1] != serial[held_slot[LATENCY-1]]);

    integer k;
    always @(posedge clk) begin
        if (rst) begin
            for (k = 0; k < SLOTS; k = k + 1) serial[k] <= 32'd0;
            for (k = 0; k < TXNS; k = k + 1)  burst[k]  <= 32'd0;
            accepted <= 32'd0;
            held     <= {LATENCY{1'b0}};
        end else begin
            if (change) serial[change_slot] <= serial[change_slot] + 32'd1;
            if (inc)    accepted            <= serial[slot];
            if (start)  burst[txn]          <= inc ? serial[slot] : accepted;
            held           <= {held[LATENCY-2:0], lh_valid};
            held_serial[0] <= burst[lh_txn];
            held_slot[0]   <= lh_slot;
            for (k = 1; k < LATENCY; k = k + 1) begin
                held_serial[k] <= held_serial[k-1];
                held_slot[k]   <= held_slot[k-1];
            end
            if (enable && late) begin
                $error("%m: a beat enters the hash of slot %0d, whose window is not that of its burst", lh_slot);
                $finish;
            end
            if (enable && left) begin
                $error("%m: the window of slot %0d ended while a beat was in the hash", held_slot[LATENCY-1]);
                $finish;
            end
        end
    end
`endif

endmodule

`resetall
